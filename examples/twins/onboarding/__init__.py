"""The onboarding as a team writes it with DBOS: to be read, counted and run beside the declared one."""
