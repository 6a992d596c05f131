"""What every service of one careful team shares: its database session, bearer tokens, problems, and keys."""
