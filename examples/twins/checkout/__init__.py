"""A checkout written the usual careful way: FastAPI, SQLAlchemy, and a table of jobs for calls to others."""
