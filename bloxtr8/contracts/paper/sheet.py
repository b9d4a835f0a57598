"""What a contract's document is made from. Light: whoever asks for one needs not draw it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

BYTES_MAX = 8 * 1024 * 1024
# SHA-256 of each released wording. A new wording is a new version; a released one never changes.
RELEASED = {"v1": "cbd66d2e5284195aa098bbd7fc11e06b303b7c90725fb1a900b756d645de55f4"}


class NotDrawn(Exception):
    """The document could not be drawn."""


@dataclass(frozen=True, slots=True)
class Signed:
    """One side's signature as it is printed."""

    side: str
    method: str
    signed_at: datetime
    interaction_id: str | None = None


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a document is made from. `terms` as `bloxtr8.market.agreement` froze them.

    With `signed` it is the final document over the draft whose hash is `draft_sha256`, which
    `verify_url` tells about.
    """

    contract_id: str
    ref: str
    terms: dict[str, Any]
    signed: tuple[Signed, ...] = ()
    draft_sha256: str = ""
    verify_url: str = ""

    @property
    def version(self) -> str:
        """The wording's version."""
        return str(self.terms["template_version"])
