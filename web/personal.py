"""What people ask for and are answered about their own notices, wishes and open matters."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from web.fields import Answer, Body, Id, Time
from web.people_requests import TimeZone

_CLOCK = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"
Clock = Annotated[str, StringConstraints(pattern=_CLOCK)]
Place = Literal["DISCORD_DM", "THREAD", "INBOX"]


class WishIn(Body):
    """Where a category goes beside the inbox."""

    place: Place = "DISCORD_DM"
    enabled: bool = True


def _pushed(wish: WishIn) -> WishIn:
    if not wish.enabled or wish.place == "INBOX":
        raise ValueError("this category stays on, as direct message or in the thread")
    return wish


Pushed = Annotated[WishIn, AfterValidator(_pushed)]


class CategoriesIn(Body):
    """ESCROW, DISPUTES and ACCOUNT cannot be switched off."""

    ESCROW: Pushed = WishIn()
    DISPUTES: Pushed = WishIn()
    ACCOUNT: Pushed = WishIn()
    CONTRACTS: WishIn = WishIn()
    OFFERS: WishIn = WishIn()
    NEWS: WishIn = WishIn()


class QuietHours(Body):
    """From `start` to `end` by the clocks of `zone`, over midnight if it has to be."""

    start: Clock
    end: Clock
    zone: TimeZone

    @model_validator(mode="after")
    def _some(self) -> "QuietHours":
        if self.start == self.end:
            raise ValueError("start and end are the same")
        return self


class PreferencesIn(Body):
    """All of it: what is left out is as by default."""

    categories: CategoriesIn = CategoriesIn()
    quiet_hours: QuietHours | None = None
    quiet_money: bool = False
    discreet: bool = False
    show_roblox: bool = True
    show_trades: bool = True
    offers_from_new: bool = True


class NoticesRead(Body):
    ids: Annotated[list[Id], Field(min_length=1, max_length=100)]


class WishOut(Answer):
    place: str
    enabled: bool
    fixed: bool = Field(description="cannot be switched off")


class QuietOut(Answer):
    start: str
    end: str
    zone: str


class PreferencesOut(Answer):
    categories: dict[str, WishOut]
    quiet_hours: QuietOut | None
    quiet_money: bool
    discreet: bool
    show_roblox: bool
    show_trades: bool
    offers_from_new: bool


class DeliveryOut(Answer):
    """How a notice went to somewhere else than the inbox."""

    channel: str
    status: str
    sent_at: Time | None


class NoticeOut(Answer):
    """`template` names the text; `entity` what it is about, as `kind:id`."""

    id: str
    template: str
    category: str
    entity: str
    data: dict[str, Any]
    at: Time
    read_at: Time | None
    delivery: DeliveryOut | None


class NoticePage(Answer):
    items: list[NoticeOut]
    next_cursor: str | None


class Waiting(Answer):
    """Something that waits for the caller; `action` names what is to be done."""

    kind: Literal["OFFER", "CONTRACT", "ESCROW"]
    id: str
    ref: str | None
    action: str
    due_at: Time | None


class Summary(Answer):
    items: list[Waiting]
    unread_notices: int
