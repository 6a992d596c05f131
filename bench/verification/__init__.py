"""How fast a large log is verified, and in how much memory."""
