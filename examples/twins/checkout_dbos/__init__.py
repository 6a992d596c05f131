"""The checkout of examples/checkout with DBOS, FastAPI and SQLAlchemy, to be read beside it."""
