"""The table of transitions: the one place that says what may happen to an escrow.

Guards, the actions offered to people, the authority of producers, docs/states.md and the
tests are all derived from ROWS. What is not in it is refused (commands) or ignored (facts).
"""

from dataclasses import dataclass
from enum import StrEnum

from bloxtr8.escrow import states
from bloxtr8.escrow.states import (
    AWAIT_FUNDS,
    CANCELLED,
    CANCELLING,
    DELIVERED,
    DISPUTED,
    FUNDS_HELD,
    FUNDS_REVIEW,
    REFUNDED,
    REFUNDING,
    RELEASED,
    RELEASING,
    SPLIT,
    SPLITTING,
    State,
)


class Role(StrEnum):
    """Who may cause something: a side of the trade, a member of staff, a signed system."""

    BUYER = "buyer"
    SELLER = "seller"
    SUPPORT = "SUPPORT"
    MODERATOR = "MODERATOR"
    ADMIN = "ADMIN"
    SYSTEM = "SYSTEM"


PARTIES = frozenset({Role.BUYER, Role.SELLER})
STAFF = frozenset({Role.SUPPORT, Role.MODERATOR, Role.ADMIN})

_BUYER, _SELLER, _PARTY = frozenset({Role.BUYER}), frozenset({Role.SELLER}), PARTIES
_ADMIN, _SYSTEM = frozenset({Role.ADMIN}), frozenset({Role.SYSTEM})
_MODERATORS = frozenset({Role.MODERATOR, Role.ADMIN})

PAYOUT_ORDER, REFUND_ORDER = "TransferToSeller", "InitiateRefund"


@dataclass(frozen=True, slots=True)
class Row:
    """One transition: in any of `sources`, `cause` (a message's name) by any of `by`.

    `to` are the states it may lead to (empty: it stays), `events` and `orders` what it may
    emit. `second_approval`: staff need a second one of them above 10,000 USD. A command
    that moves money is refused while a hold is set, but for those that `work_on_hold`.
    """

    number: str
    sources: tuple[State, ...]
    cause: str
    by: frozenset[Role]
    to: tuple[State, ...] = ()
    events: tuple[str, ...] = ()
    orders: tuple[str, ...] = ()
    second_approval: bool = False
    works_on_hold: bool = False
    note: str = ""

    @property
    def moves_money(self) -> bool:
        return PAYOUT_ORDER in self.orders or REFUND_ORDER in self.orders

    @property
    def blocked_by_hold(self) -> bool:
        return self.moves_money and not self.works_on_hold


# A chargeback that was reported before the money it is about.
_CAUGHT_UP = ("EscrowDisputed", "EscrowRefunded")
_BY_BANK = (DISPUTED, REFUNDED)
_TALKING = (FUNDS_HELD, DELIVERED, DISPUTED)
_MOVING = tuple(state for state in states.ALL if state in states.MOVING)
_ENDED = tuple(state for state in states.ALL if state in states.TERMINAL)
_PAYING_OUT = tuple(state for state in states.ALL if state in states.PAYING_OUT)
_CLOSED = ("SettlementClosed",)
_STRAY = ("StrayFundsReceived", "EscrowHeldByStaff")
_LEGS = ("EscrowReleasing", "EscrowRefunding", "EscrowSplitting")

# One row reads as one piece: number, from, cause, by, to, events, orders.
# fmt: off
ROWS: tuple[Row, ...] = (
    Row("1", (), "CreateEscrow", _SYSTEM, (AWAIT_FUNDS,), ("EscrowCreated",
        "EscrowAwaitFunds"), ("CreatePaymentIntent",)),
    Row("2", (AWAIT_FUNDS,), "PaymentIntentCreated", _SYSTEM, (), ("PaymentReady",)),
    Row("2a", (AWAIT_FUNDS,), "PaymentProcessing", _SYSTEM, (), ("PaymentProcessing",),
        note="the buyer has paid, the provider has not decided yet"),
    Row("3", (AWAIT_FUNDS,), "PaymentFailed", _SYSTEM, (), ("PaymentAttemptFailed",),
        ("CreatePaymentIntent",),
        note="a new intent only when the provider says this one is dead, and not after 5 "
        "failures"),
    Row("4", (AWAIT_FUNDS,), "PaymentSucceeded", _SYSTEM, (FUNDS_HELD, FUNDS_REVIEW,
        *_BY_BANK), ("EscrowFundsHeld", "EscrowFundsUnderReview", *_CAUGHT_UP),
        ("CancelPayment",),
        note="FUNDS_REVIEW when it is not what was due; an intent that this receipt did not "
        "pay is cancelled; DISPUTED or REFUNDED when its chargeback was reported first"),
    Row("5", (AWAIT_FUNDS,), "FundsUnderReview", _SYSTEM, (FUNDS_REVIEW, *_BY_BANK),
        ("EscrowFundsUnderReview", *_CAUGHT_UP),
        note="risk SANCTIONED also sets hold COMPLIANCE"),
    Row("6", (FUNDS_REVIEW,), "ApproveFunds", _ADMIN, (FUNDS_HELD, REFUNDING),
        ("EscrowFundsHeld", "EscrowRefunding"), (REFUND_ORDER,), second_approval=True,
        note="REFUNDING when the trade was being cancelled; risk HIGH or SANCTIONED needs "
        "the second approval at any amount; less than was due cannot be approved"),
    Row("6a", (FUNDS_REVIEW,), "FundsScreened", _SYSTEM, (FUNDS_HELD, REFUNDING),
        ("EscrowFundsHeld", "EscrowRefunding", "EscrowFundsUnderReview"), (REFUND_ORDER,),
        note="only while the risk is UNKNOWN: LOW clears funds that were under review for "
        "nothing else, REFUNDING when the trade was being cancelled; any other risk is "
        "written down and left to people"),
    Row("6b", (*_TALKING, *_MOVING), "FundsScreened", _SYSTEM, (), ("EscrowHeldByStaff",),
        note="funds that were approved while their risk was UNKNOWN: SANCTIONED sets hold "
        "COMPLIANCE, anything else is what staff were free to accept"),
    Row("7", (FUNDS_REVIEW,), "RejectFunds", _ADMIN, (REFUNDING, CANCELLED),
        ("EscrowRefunding", "StrayFundsReceived", "EscrowCancelled"), (REFUND_ORDER,),
        note="never for SANCTIONED, which stays frozen; money in another currency goes back "
        "as stray funds and the escrow is CANCELLED"),
    Row("8", (AWAIT_FUNDS,), "CancelEscrow", _PARTY | _ADMIN, (CANCELLING,),
        ("EscrowCancelling",), ("CancelPayment",)),
    Row("8a", (AWAIT_FUNDS,), "ExpireDeadline", _SYSTEM, (CANCELLING,), ("EscrowCancelling",),
        ("CancelPayment",),
        note="deadline FUNDING"),
    Row("9", (CANCELLING,), "PaymentCancelled", _SYSTEM, (CANCELLED,), ("EscrowCancelled",)),
    Row("10", (CANCELLING,), "PaymentSucceeded", _SYSTEM, (REFUNDING, FUNDS_REVIEW, REFUNDED),
        ("EscrowRefunding", "EscrowFundsUnderReview", "EscrowHeldByStaff", "EscrowRefunded"),
        (REFUND_ORDER,),
        note="reason CANCELLED_WHILE_PAYING; while a hold is set the refund is deferred"),
    Row("10a", (CANCELLING,), "FundsUnderReview", _SYSTEM, (FUNDS_REVIEW, *_BY_BANK),
        ("EscrowFundsUnderReview", *_CAUGHT_UP),
        note="the cancel is remembered: approving leads to REFUNDING"),
    Row("11", (FUNDS_HELD,), "MarkDelivered", _SELLER, (DELIVERED,), ("EscrowDelivered",),
        note="needs a payee"),
    Row("12", (FUNDS_HELD,), "RefundBuyer", _SELLER | _ADMIN, (REFUNDING,), ("EscrowRefunding",
        *_CLOSED), (REFUND_ORDER,)),
    Row("12a", (FUNDS_HELD,), "ExpireDeadline", _SYSTEM, (REFUNDING,), ("EscrowRefunding",
        *_CLOSED), (REFUND_ORDER,),
        note="deadline DELIVERY"),
    Row("13", (DELIVERED,), "ReleaseFunds", _BUYER | _ADMIN, (RELEASING,), ("EscrowReleasing",
        *_CLOSED), (PAYOUT_ORDER, REFUND_ORDER), second_approval=True,
        note="what was paid above the sum due goes back to the buyer"),
    Row("13a", (DELIVERED,), "ExpireDeadline", _SYSTEM, (RELEASING,), ("EscrowReleasing",
        *_CLOSED), (PAYOUT_ORDER, REFUND_ORDER),
        note="deadline CONFIRMATION, reason AUTO_RELEASE"),
    Row("14", (DELIVERED,), "RefundBuyer", _SELLER | _ADMIN, (REFUNDING,), ("EscrowRefunding",
        *_CLOSED), (REFUND_ORDER,), second_approval=True),
    Row("15", (FUNDS_HELD, DELIVERED), "RaiseDispute", _PARTY | _SYSTEM, (DISPUTED,),
        ("EscrowDisputed",),
        note="remembers the state it came from and what was left of its deadline"),
    Row("16", (DISPUTED,), "WithdrawDispute", _PARTY, (FUNDS_HELD, DELIVERED),
        ("EscrowDisputeWithdrawn",),
        note="only who opened it, and not while a chargeback is open"),
    Row("17", (DISPUTED,), "ResolveDispute", _MODERATORS, (RELEASING, REFUNDING, SPLITTING),
        ("EscrowDisputeResolved", *_LEGS, *_CLOSED), (PAYOUT_ORDER, REFUND_ORDER),
        second_approval=True),
    Row("18", _TALKING, "ProposeSettlement", _PARTY, (), ("SettlementProposed", *_CLOSED),
        note="the sides alternate; a proposal lapses after 72 h"),
    Row("18a", _TALKING, "RejectSettlement", _PARTY, (), _CLOSED,
        note="the other party"),
    Row("18b", _TALKING, "WithdrawSettlement", _PARTY, (), _CLOSED,
        note="who proposed it"),
    Row("19", _TALKING, "AcceptSettlement", _PARTY, (RELEASING, REFUNDING, SPLITTING),
        ("SettlementAccepted", *_LEGS), (PAYOUT_ORDER, REFUND_ORDER),
        note="the other party; RELEASING or REFUNDING at the ends"),
    Row("20", (RELEASING,), "TransferSucceeded", _SYSTEM, (RELEASED,), ("LegConfirmed",
        "EscrowReleased")),
    Row("20a", (RELEASING,), "RefundSucceeded", _SYSTEM, (RELEASED,), ("LegConfirmed",
        "EscrowReleased", "StrayFundsRefunded"),
        note="the excess went back"),
    Row("21", (RELEASING, SPLITTING), "TransferFailed", _SYSTEM, (), ("PayoutFailed",),
        (PAYOUT_ORDER,),
        note="ordered again with back-off; the fifth failure (row 22) sets hold "
        "PAYOUT_FAILED and waits for RetryPayout; deferred while another hold is set"),
    Row("22", (RELEASING, SPLITTING), "RetryPayout", _ADMIN, (), ("LegRetried",),
        (PAYOUT_ORDER,), works_on_hold=True,
        note="needs a payout that failed for good; another destination needs a second "
        "approval"),
    Row("23", (REFUNDING,), "RefundSucceeded", _SYSTEM, (REFUNDED,), ("EscrowRefunded",
        "StrayFundsRefunded")),
    Row("24", states.ALL, "RefundFailed", _SYSTEM, (), ("RefundFailed",), (REFUND_ORDER,),
        note="as row 21 with hold REFUND_FAILED; outside of the moving states only stray "
        "funds"),
    Row("24a", states.ALL, "RetryRefund", _ADMIN, (), ("LegRetried",), (REFUND_ORDER,),
        works_on_hold=True,
        note="needs a refund, or a return of stray funds, that failed for good"),
    Row("25", (SPLITTING,), "TransferSucceeded", _SYSTEM, (SPLIT,), ("LegConfirmed",
        "EscrowSplit"),
        note="SPLIT when both legs are confirmed"),
    Row("25a", (SPLITTING,), "RefundSucceeded", _SYSTEM, (SPLIT,), ("LegConfirmed",
        "EscrowSplit", "StrayFundsRefunded"),
        note="SPLIT when both legs are confirmed"),
    Row("26", states.OPEN, "PlaceHold", _MODERATORS | _SYSTEM, (), ("EscrowHeldByStaff",),
        note="replaces a weaker hold; the deadline stands still"),
    Row("26a", states.OPEN, "LiftHold", _MODERATORS | _SYSTEM, (), ("EscrowHoldLifted",
        "EscrowHeldByStaff"), (PAYOUT_ORDER, REFUND_ORDER), works_on_hold=True,
        note="orders what was deferred; COMPLIANCE, or CHARGEBACK while it is open, only by "
        "two ADMINs; an open chargeback or a failed leg below it sets its own hold "
        "again"),
    Row("27", states.OPEN, "ExtendDeadline", _MODERATORS | _SYSTEM | _PARTY, (),
        ("DeadlineExtended",),
        note="parties: both agree, at most 30 days ahead; at most 20 times"),
    Row("28", (AWAIT_FUNDS, FUNDS_HELD, DISPUTED), "SetPayee", _SELLER, (), ("PayeeSet",),
        note="in DISPUTED only when none is set"),
    Row("29", (FUNDS_REVIEW, FUNDS_HELD, DELIVERED, DISPUTED), "ChargebackOpened", _SYSTEM,
        (DISPUTED,), ("ChargebackRecorded", "EscrowDisputed", "EscrowHeldByStaff"),
        note="with hold CHARGEBACK"),
    Row("29a", (AWAIT_FUNDS, CANCELLING, REFUNDING, REFUNDED, CANCELLED), "ChargebackOpened",
        _SYSTEM, (), ("ChargebackRecorded", "EscrowHeldByStaff"),
        note="recorded, and applied when the money arrives; a refund that a hold had "
        "deferred stays deferred"),
    Row("29b", (AWAIT_FUNDS, CANCELLING, REFUNDED, CANCELLED), "ChargebackClosed", _SYSTEM, (),
        ("ChargebackRecorded",)),
    Row("29c", (FUNDS_REVIEW, *_TALKING, REFUNDING), "ChargebackClosed", _SYSTEM, (REFUNDED,),
        ("ChargebackRecorded", "EscrowHoldLifted", "EscrowHeldByStaff", "EscrowRefunded",
        *_CLOSED), (REFUND_ORDER,),
        note="won: hold CHARGEBACK is lifted, a dispute stays for staff; lost with all that "
        "is held: REFUNDED, reason CHARGEBACK, nothing ordered because the bank "
        "returned it; lost in part: staff decide"),
    Row("30", _PAYING_OUT, "ChargebackOpened", _SYSTEM, (), ("ChargebackRecorded",),
        note="a receivable against the seller, who is frozen"),
    Row("30a", _PAYING_OUT, "ChargebackClosed", _SYSTEM, (), ("ChargebackRecorded",
        "EscrowHoldLifted", "EscrowHeldByStaff"), (PAYOUT_ORDER, REFUND_ORDER)),
    Row("31", (FUNDS_REVIEW, *_TALKING, *_MOVING, *_ENDED), "PaymentSucceeded", _SYSTEM, (),
        _STRAY, (REFUND_ORDER,),
        note="another receipt than the one that counts: returned as STRAY_REFUND, deferred "
        "while a hold is set; a receipt that is already counted is ignored"),
    Row("31a", (FUNDS_REVIEW, *_TALKING, *_MOVING, *_ENDED), "FundsUnderReview", _SYSTEM, (),
        _STRAY, (REFUND_ORDER,),
        note="as row 31; risk SANCTIONED is frozen: recorded, hold COMPLIANCE, not returned"),
    Row("31b", (AWAIT_FUNDS, CANCELLING, FUNDS_REVIEW, *_TALKING, *_ENDED), "RefundSucceeded",
        _SYSTEM, (), ("StrayFundsRefunded",),
        note="the stray funds are back"),
    Row("32", (DISPUTED,), "ExpireDeadline", _SYSTEM, (), ("DisputeOverdue",),
        note="deadline DISPUTE: staff are alerted, nothing is automatic"),
    Row("33", (AWAIT_FUNDS, *_TALKING), "RemindDeadline", _SYSTEM, (),
        ("DeadlineApproaching",),
        note="at 50 % and 90 %"),
)
# fmt: on
