"""The sealed log: what signs it, proves from it, exports it and lets its oldest entries go."""
