"""An enrollment backend written the usual careful way: FastAPI, SQLAlchemy and PostgreSQL, nothing else."""
