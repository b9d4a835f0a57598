"""The bodies and query strings that routes accept."""

from typing import Annotated, Literal

from pydantic import Field, RootModel, StringConstraints

from bloxtr8.escrow.delivery import EVIDENCE_MAX
from web.fields import Body, Id, Moment, MoneyIn, Query, Reason, Sha256, text

State = Literal[
    "AWAIT_FUNDS",
    "FUNDS_REVIEW",
    "FUNDS_HELD",
    "DELIVERED",
    "DISPUTED",
    "CANCELLING",
    "RELEASING",
    "REFUNDING",
    "SPLITTING",
    "RELEASED",
    "REFUNDED",
    "SPLIT",
    "CANCELLED",
]
RailName = Literal["STRIPE", "USDC_BASE"]
OutcomeName = Literal["RELEASE", "REFUND", "SPLIT"]
OperationStatus = Literal[
    "ACCEPTED", "SENT", "SUCCEEDED", "REJECTED", "PENDING_APPROVAL", "STALLED"
]
Note = Annotated[str, text(0, 500)]


class Page(Query):
    limit: Annotated[int, Field(ge=1, le=100)] = 25
    cursor: str | None = None


class EscrowList(Page):
    status: State | None = None
    role: Literal["BUYER", "SELLER"] | None = None
    rail: RailName | None = None
    open: bool | None = None


class EscrowRead(Query):
    consistency: Literal["mirror", "stream"] = "mirror"


class NewAccount(Body):
    kind: Literal["STRIPE_ACCOUNT"]


class NewWallet(Body):
    kind: Literal["BASE_WALLET"]
    address: Annotated[str, StringConstraints(pattern=r"^0x[0-9a-fA-F]{40}$")]


class NewPayoutMethod(RootModel[Annotated[NewAccount | NewWallet, Field(discriminator="kind")]]):
    """An account at Stripe, or a wallet on Base."""


class WalletSignature(Body):
    signature: Annotated[str, StringConstraints(pattern=r"^0x[0-9a-fA-F]{130}$")]


class Nothing(Body):
    """A request that says all by its address."""


class Confirm(Body):
    confirm: Literal[True]


class ConfirmRefund(Body):
    confirm: Literal[True]
    note: Note | None = None


class Payee(Body):
    payout_method_id: Id


class Delivered(Body):
    """`evidence_ids`: the seller's own files that show the handover."""

    method: Literal["GROUP_TRANSFER", "GROUP_OWNERSHIP", "OTHER"]
    note: Annotated[str, text(0, 2_000)] | None = None
    evidence_ids: Annotated[list[Id], Field(max_length=EVIDENCE_MAX, default_factory=list)]


class Cancel(Body):
    reason: Literal["CHANGED_MIND", "TERMS", "OTHER"]
    note: Note | None = None


class Extension(Body):
    until: Moment


class Dispute(Body):
    reason: Literal[
        "NOT_DELIVERED",
        "NOT_AS_DESCRIBED",
        "REVERSED",
        "PAYMENT",
        "UNRESPONSIVE",
        "FRAUD",
        "OTHER",
    ]
    statement: Annotated[str, text(50, 5_000)]
    wanted: OutcomeName


class StaffAction(Body):
    reason: Reason


class Statement(Body):
    """`question_id`: of staff's question that it answers."""

    text: Annotated[str, text(50, 5_000)]
    question_id: Id | None = None


class EvidenceFields(Body):
    """What the files of one request show."""

    kind: Literal["DELIVERY", "SCREENSHOT", "CHAT", "PAYMENT", "OTHER"]
    note: Note = ""


class Question(StaffAction):
    side: Literal["BUYER", "SELLER"]
    text: Annotated[str, text(10, 1_000)]


class TaskList(Page):
    kind: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]{0,39}$")] | None = None
    mine: bool = False
    overdue: bool = False


class TaskAction(Body):
    version: Annotated[int, Field(ge=1, le=2**31 - 1)]


class TaskClosed(StaffAction):
    version: Annotated[int, Field(ge=1, le=2**31 - 1)]
    outcome: Annotated[str, text(1, 60)]


class Settlement(Body):
    """`seller_amount`: the part of the price that the seller keeps; 0 refunds, all releases."""

    seller_amount: MoneyIn
    note: Annotated[str, text(0, 1_000)] | None = None


class OperationList(Page):
    escrow_id: Id | None = None
    status: OperationStatus | None = None


class OperationRead(Query):
    wait: Annotated[int, Field(ge=0, le=20)] = 0


class StaffEscrowList(Page):
    status: State | None = None
    rail: RailName | None = None
    party: Id | None = None
    min_amount: Annotated[int, Field(ge=0, le=10**12)] | None = None
    stuck_for_h: Annotated[int, Field(ge=1, le=24 * 365)] | None = None


class Resolve(StaffAction):
    """`seller_amount` with SPLIT only. `preview` computes the money moves and sends nothing."""

    outcome: OutcomeName
    seller_amount: MoneyIn | None = None
    verdict: Annotated[str, text(50, 5_000)]
    preview: bool = False


class StaffHold(StaffAction):
    kind: Literal["MANUAL", "COMPLIANCE"]


class FundsReview(StaffAction):
    decision: Literal["APPROVE", "REJECT"]


class RetryPayout(StaffAction):
    payout_method_id: Id | None = None


class StaffExtension(StaffAction):
    until: Moment


class ApprovalList(Page):
    status: Literal["PENDING", "APPROVED", "REJECTED", "EXPIRED", "EXECUTED"] | None = None


class Decision(StaffAction):
    """`payload_sha256` proves that the payload was read."""

    payload_sha256: Sha256
