"""WHAT may happen: the declared model as frozen data.

Every feature is a reading of this room. It holds no behaviour beyond parsing, printing and
evaluating what was declared, and it never touches time, network, disk or chance.
"""
