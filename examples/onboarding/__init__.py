"""Newcomers: papers, jobs of many, an account elsewhere; all undone where it is called off."""
