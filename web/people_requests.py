"""Bodies and query strings of sign-in, people, linking and experiences."""

from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, model_validator

from web.fields import Body, Id, Query, Reason, text
from web.requests import Page, StaffAction

_SECRET_MAX = 200
_CODE_MAX = 2_048

RobloxId = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,17}$")]


def _zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("this is not a time zone of the IANA database")
    return name


TimeZone = Annotated[str, AfterValidator(_zone)]


class LoginQuery(Query):
    return_to: Annotated[str, Field(max_length=512)] = "/"
    step_up: Literal["0", "1"] = "0"


class Callback(Query):
    """Providers may add parameters of their own."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    state: Annotated[str, Field(max_length=_SECRET_MAX)] = ""
    code: Annotated[str, Field(max_length=_CODE_MAX)] = ""
    error: Annotated[str, Field(max_length=_SECRET_MAX)] = ""
    iss: Annotated[str, Field(max_length=_SECRET_MAX)] = ""


class Profile(Body):
    """At least one field; the version that was read stands in If-Match."""

    display_name: Annotated[str, text(1, 80)] | None = None
    locale: Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[A-Z]{2})?$")] | None = None
    timezone: TimeZone | None = None

    @model_validator(mode="after")
    def _something(self) -> "Profile":
        if not self.model_dump(exclude_none=True):
            raise ValueError("give at least one field")
        return self


class ConsentGiven(Body):
    document: Literal["TERMS", "PRIVACY", "AGE_18", "ROBLOX_POLICY"]
    version: Annotated[str, Field(min_length=1, max_length=20)]


class Close(Body):
    confirm: Literal["CLOSE"]


class GroupCheck(Body):
    group_id: RobloxId


class LinkClaim(Body):
    roblox_id: RobloxId
    text: Annotated[str, text(20, 1_000)]


class ExperienceList(Page):
    source: Literal["USER", "GROUPS"] = "USER"


class FindExperience(Body):
    """Exactly one of the three."""

    universe_id: RobloxId | None = None
    place_id: RobloxId | None = None
    url: Annotated[str, Field(min_length=1, max_length=300)] | None = None

    @model_validator(mode="after")
    def _one(self) -> "FindExperience":
        if len(self.model_dump(exclude_none=True)) != 1:
            raise ValueError("give one of universe_id, place_id and url")
        return self


class Verify(Body):
    universe_id: RobloxId
    fresh: bool = False


class UserList(Page):
    """`q`: an id of ours, a name's beginning, a Discord or Roblox id."""

    q: Annotated[str, Field(min_length=1, max_length=80)] | None = None


class Note(StaffAction):
    """`reason` is the note."""

    reason: Annotated[str, text(10, 2_000)]


class Role(StaffAction):
    role: Literal["SUPPORT", "MODERATOR", "ADMIN"]


class ManualVerification(Body):
    user_id: Id
    universe_id: RobloxId
    note: Reason
    file_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
