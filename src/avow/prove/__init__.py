"""TRIES TO BREAK what is declared: explores it, drives it, cuts it, races it, and says what was tried.

It runs the same kernel, engine and workers that serve. It must never say that a thing is certain: what
held, held within the bounds that it names.
"""
