"""A system that a carrier sends events to."""

from tests.store.parcel import parcels

app = parcels()
