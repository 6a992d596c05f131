"""Reports of a run: as text for a terminal, as JSON for programs, and as one page for a browser."""
