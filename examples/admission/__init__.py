"""The enrollment with papers, deadlines, inboxes and a waiting list."""
