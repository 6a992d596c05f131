"""A system that tells others of its invoices."""

from tests.store.invoice import invoices

app = invoices()
