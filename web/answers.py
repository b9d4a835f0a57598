"""What routes answer."""

from typing import Any

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
    method: str
    at: Time | None


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


class EscrowOut(Answer):
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


class DisputeOut(Answer):
    id: str
    case_code: str | None
    status: str
    reason: str
    wanted: str | None
    opened_by: str
    opened_at: Time
    due_at: Time | None
    claimed: bool
    outcome: str | None
    refund: MoneyOut | None
    closed_at: Time | None
    statements: list[Statement]
    settlement: SettlementOut | None


class OperationOut(Answer):
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
