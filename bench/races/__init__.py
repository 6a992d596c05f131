"""Three races, each lost by one line that is missing: who finds them, in how many executions, in how long."""
