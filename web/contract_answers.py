"""What routes about contracts take and answer."""

from typing import Any, Literal

from pydantic import Field

from bloxtr8.contracts.reading import Side, Status
from bloxtr8.market import secrets
from web.answers import ReceivingGroupOut
from web.fields import Answer, Body, MoneyOut, Query, Sha256, Time
from web.requests import Note, Page
from web.trading_answers import CostsOut, PersonOut

Variant = Literal["draft", "final"]


class ContractList(Page):
    status: Status | None = None
    role: Side | None = None


class ContractFile(Query):
    variant: Variant = "draft"


class SignIn(Body):
    """`token`: of a link to sign, which stands in for a recent sign-in."""

    document_sha256: Sha256
    consent: Literal[True]
    token: str | None = Field(
        None, min_length=secrets.CHARACTERS, max_length=secrets.CHARACTERS, pattern=r"^[\w-]+$"
    )


class CallOff(Body):
    reason: Note = ""


class HashIn(Body):
    sha256: Sha256


class SignatureOut(Answer):
    side: Side
    method: Literal["WEB", "DISCORD"]
    signed_at: Time


class ContractOut(Answer):
    """Amounts of `costs` are in the currency of the rail."""

    id: str
    ref: str
    version: int
    status: Status
    offer_id: str
    listing_id: str
    escrow_id: str
    buyer: PersonOut
    seller: PersonOut
    receiving_group: ReceivingGroupOut | None
    price: MoneyOut
    rail: str
    costs: CostsOut
    delivery_days: int
    template_version: str
    document_sha256: str | None
    final_sha256: str | None
    sign_deadline_at: Time | None
    signatures: list[SignatureOut]
    void_reason: str | None
    created_at: Time
    allowed_actions: list[str]


class ContractWithTerms(ContractOut):
    """`terms`: everything that was agreed, as the document prints it."""

    terms: dict[str, Any]


class ContractPage(Answer):
    items: list[ContractOut]
    next_cursor: str | None


class HashOut(Answer):
    """What is null is not known."""

    known: bool
    ref: str | None = None
    variant: Variant | None = None
    status: Status | None = None
    template_version: str | None = None
    date: Time | None = None
