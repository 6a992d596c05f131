"""The same backend twice, written by hand and declared, under the same attacks, for real and each time."""
