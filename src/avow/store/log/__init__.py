"""The sealed log as it is kept: written, read, scanned, and let go of."""
