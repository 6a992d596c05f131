"""How fast sagas run through and times come, beside DBOS, Restate and Procrastinate: bench/run workflows."""
