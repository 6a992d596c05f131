"""WHETHER it may happen now: one pure function from command and records to a decision.

The kernel never touches time, network, disk or chance; `now` and every id are arguments. It is the
same in the server, in checks and in explanations.
"""
