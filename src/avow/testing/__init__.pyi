# What `avow.testing` offers, for type checkers; `__init__.py` brings each name when it is first asked for.

from avow.model.system import System as System
from avow.testing.attack import Broken as Broken
from avow.testing.attack import Due as Due
from avow.testing.attack import End as End
from avow.testing.attack import Order as Order
from avow.testing.backend import As as As
from avow.testing.backend import Backend as Backend
from avow.testing.backend import Client as Client
from avow.testing.backend import Clock as Clock
from avow.testing.backend import Crash as Crash
from avow.testing.backend import Race as Race
from avow.testing.backend import Replay as Replay
from avow.testing.backend import backend_on as backend_on
from avow.testing.backend import replay as replay
from avow.testing.client import ControlError as ControlError
from avow.testing.client import Provider as Provider
from avow.testing.databases import Database as Database
from avow.testing.databases import own_databases as own_databases
from avow.testing.portal import Portal as Portal
from avow.testing.provider.behaviour import Fault as Fault
from avow.testing.provider.ledger import Doubled as Doubled
from avow.testing.provider.ledger import Entry as Entry
from avow.testing.provider.ledger import Ledger as Ledger
from avow.testing.provider.webhooks import webhook_headers as webhook_headers
from avow.testing.staging import Crashed as Crashed
from avow.testing.staging import Found as Found
from avow.testing.staging import Person as Person
from avow.testing.staging import Refused as Refused
from avow.testing.staging import Stage as Stage
from avow.testing.staging import stage as stage

__all__ = [
    "As",
    "Backend",
    "Broken",
    "Client",
    "Clock",
    "ControlError",
    "Crash",
    "Crashed",
    "Database",
    "Doubled",
    "Due",
    "End",
    "Entry",
    "Fault",
    "Found",
    "Ledger",
    "Order",
    "Person",
    "Provider",
    "Race",
    "Refused",
    "Replay",
    "Stage",
    "stage",
    "webhook_headers",
]
