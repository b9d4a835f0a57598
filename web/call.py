"""One request on its way through a handler."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiohttp import web

from bloxtr8.access.identity import Identity, StaffRole
from bloxtr8.store.idempotency import Claim
from web.cases import Case
from web.deps import Deps
from web.routes import Route


@dataclass(frozen=True, slots=True)
class Call:
    """A request after its caller, header fields and body have been judged.

    `case` is the escrow that the path names; `role` the caller's staff role, read afresh.
    """

    request: web.Request
    deps: Deps
    route: Route
    now: datetime
    traceparent: str
    identity: Identity | None
    role: StaffRole | None
    case: Case | None
    key: Claim | None
    body: Any
    query: Any

    @property
    def caller(self) -> Identity:
        assert self.identity is not None, "the route is for people who signed in"
        return self.identity

    @property
    def trade(self) -> Case:
        assert self.case is not None, "the route names an escrow"
        return self.case

    def parameter(self, name: str) -> str:
        """Return a part of the path."""
        return self.request.match_info[name]
