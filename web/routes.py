"""What a route is: who may call it, how often, and what it reads and answers.

The same entries drive dispatching, the authorisation tests and the API's description.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from aiohttp import web
from pydantic import BaseModel

from bloxtr8.errors import Bloxtr8Error
from web.limits import RateClass

if TYPE_CHECKING:
    from web.call import Call


class Who(Enum):
    """Who may call a route. Staff roles include the higher ones."""

    ANYONE = "anyone"
    USER = "signed in"
    TRADER = "signed in, active, TIER_1, with all consents"
    BUYER = "the trade's buyer"
    SELLER = "the trade's seller"
    PARTY = "either party of the trade"
    PARTY_OR_SUPPORT = "either party of the trade, or staff"
    SUPPORT = "staff"
    MODERATOR = "staff: moderator"
    ADMIN = "staff: admin"


class KeyRule(Enum):
    """What a route does with the Idempotency-Key header."""

    NONE = "ignored"
    OPTIONAL = "accepted"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class Reply:
    """What a handler answers: a model, a plain JSON value, or a finished response."""

    body: BaseModel | dict[str, Any] | web.StreamResponse | None
    status: int = 200
    headers: dict[str, str] | None = None


Handler = Callable[["Call"], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Route:
    """One method and path.

    `rate`: None where the handler counts for itself. `step_up`: the sign-in may be at most
    15 minutes old. `frozen_may`: people with a frozen account keep the right to it. `form`: a
    page's form posts to it. `upload`: the body is multipart/form-data with these fields and files
    named `files`, which the handler reads. `page`: people read its answers, refusals too.
    `stream`: its answer goes on. `also`: statuses with the same answer as `status`; `preview`:
    the answer (200) to who only wants to see what would happen. `content`: the media type of
    what it answers. `errors`: refusals of its own, beside those that follow from the rest of the
    entry (web.openapi.refusals).
    """

    method: str
    path: str
    handler: Handler
    who: Who
    summary: str
    rate: RateClass | None = RateClass.READ
    body: type[BaseModel] | None = None
    upload: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    answer: type[BaseModel] | None = None
    status: int = 200
    key: KeyRule = KeyRule.NONE
    step_up: bool = False
    frozen_may: bool = False
    form: bool = False
    page: bool = False
    stream: bool = False
    also: tuple[int, ...] = ()
    preview: type[BaseModel] | None = None
    content: str = "application/json"
    errors: tuple[type[Bloxtr8Error], ...] = ()

    @property
    def changes(self) -> bool:
        """Whether the route may change something."""
        return self.method not in ("GET", "HEAD")

    @property
    def name(self) -> str:
        """Method and path, as lists of routes name it."""
        return f"{self.method} {self.path}"

    @property
    def shared(self) -> bool:
        """Whether it is part of the API that other origins may use."""
        return self.path.startswith("/api/v1/")

    @property
    def guarded(self) -> bool:
        """Whether If-Match must name the version that was read."""
        return self.method == "PATCH"

    @property
    def limited(self) -> bool:
        """Whether its callers are counted, here or by its handler."""
        return self.rate is not None or self.path.startswith("/webhooks/")

    @property
    def staff(self) -> bool:
        return self.who in (Who.SUPPORT, Who.MODERATOR, Who.ADMIN)

    @property
    def signed_in(self) -> bool:
        return self.who is not Who.ANYONE

    def __post_init__(self) -> None:
        assert self.rate is not None or not self.signed_in, "callers are identified to be counted"
