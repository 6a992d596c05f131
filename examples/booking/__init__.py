"""Rooms and tours, with holds that expire and a waiting list."""
