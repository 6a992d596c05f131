"""Accounts: made for a reference, and deleted."""

from __future__ import annotations

from collections.abc import Sequence

from avow.testing.provider.ledger import Deed
from avow.testing.provider.services.service import (
    Call,
    Done,
    Event,
    Ids,
    Json,
    Refusal,
    Route,
    Service,
    found,
    of_reference,
)


class Accounts(Service):
    """Any system that must know a new customer, employee or member."""

    name = "accounts"

    def __init__(self, ids: Ids) -> None:
        super().__init__(ids)
        self._accounts: dict[str, dict[str, Json]] = {}

    @property
    def routes(self) -> Sequence[Route]:
        """Its operations."""
        return (
            Route("POST", "/accounts", "create", self.create),
            Route("DELETE", "/accounts/{id}", "delete", self.delete),
            Route("GET", "/accounts", "find", self.find),
            Route("GET", "/accounts/{id}", "get", self.get),
        )

    def create(self, call: Call) -> Done:
        """Make an account; what else the body has is kept with it. A `login` is one active account's."""
        reference, login = call.text("reference"), call.text("login", "")
        if login and any(_holds(account, login) for account in self._accounts.values()):
            raise Refusal(409, "taken", "The login belongs to another account.")
        account: dict[str, Json] = {**call.body, "id": self.ids.next("acc"), "status": "active"}
        self._accounts[account["id"]] = account
        return self._done(account, "create", reference, "account.created", 201)

    def delete(self, call: Call) -> Done:
        """Delete an account."""
        account = found(self._accounts, call.id)
        if account["status"] == "deleted":
            raise Refusal(410, "deleted", "The account is deleted already.")
        account["status"] = "deleted"
        return self._done(account, "delete", account["reference"], "account.deleted")

    def find(self, call: Call) -> Done:
        """The accounts of a reference, oldest first."""
        return of_reference(self._accounts, call)

    def get(self, call: Call) -> Done:
        """One account."""
        return Done(dict(found(self._accounts, call.id)))

    def _done(
        self, account: dict[str, Json], operation: str, reference: str, event: str, status: int = 200
    ) -> Done:
        shown = dict(account)
        deed = Deed(operation, reference, id=account["id"])
        return Done(shown, status, deed, (Event(event, shown),))


def _holds(account: dict[str, Json], login: str) -> bool:
    return account["status"] == "active" and account.get("login") == login
