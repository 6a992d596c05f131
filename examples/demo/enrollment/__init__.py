"""The enrollment backend, by hand and declared, and the attacks on it."""
