"""Databases for trials, and what those who attack Avow do in them."""
