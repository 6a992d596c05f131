"""The verification of examples/verification with DBOS, FastAPI and SQLAlchemy, to be read beside it."""
