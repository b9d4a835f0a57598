"""What routes answer."""

from typing import Any, ClassVar

from pydantic import Field, RootModel

from web.fields import Answer, MoneyOut, Time


class Costs(Answer):
    buyer_pays: MoneyOut
    buyer_fee: MoneyOut
    seller_fee: MoneyOut
    seller_receives: MoneyOut


class Deadlines(Answer):
    fund_by: Time | None = None
    deliver_by: Time | None = None
    confirm_by: Time | None = None
    review_by: Time | None = None


class HoldOut(Answer):
    """`kind` is for staff; parties learn that and since when."""

    active: bool
    since: Time | None = None
    kind: str | None = None


class Delivery(Answer):
    """`evidence_ids`: files with which the seller showed it."""

    method: str
    at: Time | None
    evidence_ids: list[str]


class DisputeSummary(Answer):
    reason: str
    wanted: str | None
    opened_by: str
    opened_at: Time | None
    overdue: bool


class SettlementOut(Answer):
    id: str
    by: str
    seller_amount: MoneyOut
    lapses_at: Time | None


class SettlementEntry(SettlementOut):
    """`end`: ACCEPTED, REJECTED, WITHDRAWN, LAPSED or SUPERSEDED; null while it is open."""

    at: Time
    end: str | None
    ended_at: Time | None


class OwnerSeen(Answer):
    """Whom Roblox shows as owner; `expected`: the group that the buyer named."""

    type: str
    id: str
    name: str | None
    expected: bool


class OwnershipSeen(Answer):
    """Whether Roblox shows the buyer as owner: OWNER, ADMIN, DEVELOPER or NONE, asked `at`."""

    buyer: str
    at: Time
    owner: OwnerSeen
    snapshot_id: str


class RobloxOwner(Answer):
    id: str
    name: str


class ReceivingGroupOut(Answer):
    """The Roblox group that the buyer wants the game in, as Roblox showed it `at`.

    `seller_is_member`: whether the seller may publish there; null when Roblox did not say.
    """

    id: str
    name: str
    locked: bool
    owner: RobloxOwner
    seller_is_member: bool | None
    at: Time


class EscrowOut(Answer):
    """`ownership_seen` and `receiving_group` where one trade is asked for, null in lists."""

    location: ClassVar = "/api/v1/escrows/{id}"

    id: str
    ref: str | None
    contract_id: str
    contract_ref: str | None
    version: int
    status: str
    rail: str
    price: MoneyOut
    costs: Costs
    received: MoneyOut
    held: MoneyOut
    deadlines: Deadlines
    hold: HoldOut
    delivery: Delivery | None
    ownership_seen: OwnershipSeen | None = None
    receiving_group: ReceivingGroupOut | None = None
    dispute: DisputeSummary | None
    settlement: SettlementOut | None
    buyer: str
    seller: str
    allowed_actions: list[str]
    created_at: Time | None
    updated_at: Time | None


class EscrowPage(Answer):
    items: list[EscrowOut]
    next_cursor: str | None


class TimelineItem(Answer):
    """`sequence` of the event, or of the last one before what is no event of the escrow."""

    at: Time
    sequence: int
    kind: str
    actor: str
    from_state: str | None = Field(serialization_alias="from")
    to: str
    text_code: str
    data: dict[str, Any]


class TimelinePage(Answer):
    items: list[TimelineItem]
    next_cursor: str | None


class LedgerLine(Answer):
    at: Time
    transaction_id: str
    kind: str
    account: str
    amount: MoneyOut


class Ledger(Answer):
    items: list[LedgerLine]
    sums: dict[str, MoneyOut]


class Statement(Answer):
    id: str
    side: str
    kind: str
    text: str
    sha256: str
    at: Time
    asked_side: str | None = None
    question_id: str | None = None


class EvidenceOut(Answer):
    """A file; GET …/evidence/{id} leads to it."""

    id: str
    position: int
    side: str
    kind: str
    note: str
    content_type: str
    size: int
    sha256: str
    at: Time


class EvidenceAdded(RootModel[list[EvidenceOut]]):
    """The files of the request, in its order."""


class DisputeOut(Answer):
    """`settlement`: the open proposal; `settlements`: all of the trade, the first first."""

    id: str
    case_code: str | None
    status: str
    reason: str
    wanted: str | None
    opened_by: str
    opened_at: Time
    due_at: Time | None
    claimed: bool
    claimed_by: str | None
    outcome: str | None
    verdict: str | None
    refund: MoneyOut | None
    closed_at: Time | None
    statements: list[Statement]
    evidence: list[EvidenceOut]
    settlement: SettlementOut | None
    settlements: list[SettlementEntry]


class OperationOut(Answer):
    location: ClassVar = "/api/v1/operations/{id}"

    id: str
    kind: str
    escrow_id: str | None
    status: str
    approval_id: str | None
    not_after: Time
    submitted_at: Time
    finished_at: Time | None
    result: dict[str, Any] | None
    error: dict[str, Any] | None


class OperationPage(Answer):
    items: list[OperationOut]
    next_cursor: str | None


class StripePayment(Answer):
    """`client_secret` lets its holder pay this one intent; it stands nowhere else."""

    rail: str
    amount: MoneyOut
    publishable_key: str
    payment_intent_id: str
    client_secret: str
    status: str
    fund_by: Time | None


class UsdcPayment(Answer):
    """Where to send USDC. `left` is what has not been seen on the chain yet.

    `confirmations_needed` counts blocks; null: until the block is finalized.
    """

    rail: str
    amount: MoneyOut
    chain: str
    chain_id: int
    token_address: str
    deposit_address: str
    uri: str
    qr_svg: str
    seen: MoneyOut
    confirmed: MoneyOut
    left: MoneyOut
    confirmations_needed: int | None
    fund_by: Time | None


class PaymentOut(RootModel[StripePayment | UsdcPayment]):
    """What the buyer needs to pay, by the trade's rail."""


class PayoutMethodOut(Answer):
    """Where somebody is paid; of an account only its end is shown."""

    id: str
    kind: str
    reference: str
    status: str
    is_default: bool
    verified_at: Time | None
    usable_from: Time | None
    created_at: Time


class PayoutMethodList(Answer):
    items: list[PayoutMethodOut]


class PayoutMethodAdded(Answer):
    """`onboarding_url`: to be opened once. `message`: to be signed by the wallet until then."""

    method: PayoutMethodOut
    onboarding_url: str | None = None
    message: str | None = None
    token_expires_at: Time | None = None


class Receipt(Answer):
    escrow_id: str
    ref: str | None
    status: str
    paid: MoneyOut | None
    held: MoneyOut
    released: MoneyOut | None
    refunded: MoneyOut
    fees: MoneyOut
    references: list[str]


class ApprovalOut(Answer):
    id: str
    action: str
    escrow_id: str
    escrow_version: int
    payload: dict[str, Any]
    payload_sha256: str
    amount_usd_minor: int
    requested_by: str
    reason: str
    status: str
    expires_at: Time
    decided_by: str | None
    decided_at: Time | None


class ApprovalPage(Answer):
    items: list[ApprovalOut]
    next_cursor: str | None


class MoneyMoves(Answer):
    """What a verdict would do."""

    payout: MoneyOut
    refund: MoneyOut
    fees: MoneyOut


class TaskOut(Answer):
    """Something staff have to look at."""

    id: str
    version: int
    kind: str
    subject_type: str
    subject_id: str
    amount_usd_minor: int | None
    priority: int
    due_at: Time
    status: str
    claimed_by: str | None
    claimed_at: Time | None
    closed_at: Time | None
    outcome: str | None
    created_at: Time


class TaskPage(Answer):
    """`counts`: open and claimed ones of each kind, whatever the filter."""

    items: list[TaskOut]
    counts: dict[str, int]
    next_cursor: str | None
