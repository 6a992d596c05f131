"""The checkout, by hand and declared, with a provider of its own for each, and the attacks on it."""
