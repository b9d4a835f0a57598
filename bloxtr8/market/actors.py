"""Who acts, from where: built once at the edge, taken by every service."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from bloxtr8.access.identity import StaffRole
from bloxtr8.messaging import metadata

_TRACE_ID = slice(3, 35)


class Channel(StrEnum):
    WEB = "WEB"
    DISCORD = "DISCORD"
    API_KEY = "API_KEY"
    SYSTEM = "SYSTEM"


@dataclass(frozen=True, slots=True)
class Actor:
    """The acting person, or (without `user_id`) Bloxtr8 itself or somebody not yet known.

    `role`: the staff role in which they act, None when they act for themselves.
    `traceparent`: the W3C trace context of the request.
    """

    user_id: UUID | None
    channel: Channel
    traceparent: str
    role: StaffRole | None = None
    ip: str | None = None
    user_agent: str | None = None
    interaction_id: str | None = None

    @classmethod
    def system(cls) -> "Actor":
        """Return Bloxtr8 itself: sweeps, and commands of whoever runs the machines."""
        return cls(None, Channel.SYSTEM, metadata.new_traceparent())

    @property
    def id(self) -> UUID:
        assert self.user_id is not None, "somebody acts"
        return self.user_id

    @property
    def kind(self) -> str:
        """`STAFF`, `USER` or `SYSTEM`, as the audit log has it."""
        if self.role is not None:
            return "STAFF"
        return "SYSTEM" if self.channel is Channel.SYSTEM else "USER"

    @property
    def trace_id(self) -> str:
        return self.traceparent[_TRACE_ID]
