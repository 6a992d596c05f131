"""HOW an owner says it: the Python surface that becomes the frozen model.

Declaring never opens a file, a socket or a clock, and it never decides anything about a request.
"""
