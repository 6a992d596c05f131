"""A system whose commands stand in inboxes."""

from tests.store.expense import expenses

app = expenses()
