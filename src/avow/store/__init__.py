"""Everything that touches PostgreSQL: finding and running a server, tables, reads and the one write path."""
