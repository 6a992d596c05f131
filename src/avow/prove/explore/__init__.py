"""The model, explored: which situations acts lead to, in the pure kernel alone. No time, network or disk."""
