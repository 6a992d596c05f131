"""What sealing costs the commands, and how soon an entry is sealed."""
