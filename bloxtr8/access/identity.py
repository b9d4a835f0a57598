"""The person behind a request, as a credential proves it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

from bloxtr8.errors import StepUpRequired
from proto.bloxtr8.common.v1 import common_pb2 as common

# Money moves and staff writes need a sign-in at most this old.
STEP_UP_WITHIN = timedelta(minutes=15)


class StaffRole(IntEnum):
    """Roles compare by rank; the numbers are those of the messages."""

    SUPPORT = common.STAFF_ROLE_SUPPORT
    MODERATOR = common.STAFF_ROLE_MODERATOR
    ADMIN = common.STAFF_ROLE_ADMIN


@dataclass(frozen=True, slots=True)
class Identity:
    """A signed-in person: what the access token says, which ends at `expires_at`.

    `role` is only what the token claims; staff rights are read from the database.
    """

    user_id: str
    session_id: str
    auth_time: datetime
    mfa: bool
    role: StaffRole | None = None
    expires_at: datetime | None = None

    def require_step_up(self, now: datetime) -> None:
        """Raises StepUpRequired when the sign-in is more than 15 minutes old."""
        if now - self.auth_time > STEP_UP_WITHIN:
            raise StepUpRequired
