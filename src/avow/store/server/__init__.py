"""A PostgreSQL server of one's own: found, made, started, shared and stopped."""
