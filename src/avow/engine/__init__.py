"""RUNS it: a command in, a reply out."""
