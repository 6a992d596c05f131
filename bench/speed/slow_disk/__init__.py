"""A disk whose flushes take four milliseconds longer, made of any disk."""
