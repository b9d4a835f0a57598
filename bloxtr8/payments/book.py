"""Everything the payments agent knows of one escrow, as one transaction sees and changes it."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from bloxtr8 import ids
from bloxtr8.messaging import metadata
from bloxtr8.money import EXPONENTS, currency_number
from bloxtr8.payments.operations import SPENDING, Kind, Operation, Status, called_at
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.payments.v1 import payments_pb2 as payments

# Kinds of artifacts.
INTENT, CHARGE, TRANSFER, REFUND, DISPUTE = "INTENT", "CHARGE", "TRANSFER", "REFUND", "DISPUTE"
# Statuses of an INTENT artifact. RECEIVED counts toward the escrow, STRAY only goes back,
# FOREIGN came in a currency that is not the escrow's.
OPEN, CANCELLED = "OPEN", "CANCELLED"
RECEIVED, STRAY, FOREIGN = "RECEIVED", "STRAY", "FOREIGN"
PAID = frozenset({RECEIVED, STRAY, FOREIGN})

_OPERATIONS_MAX = 1000


@dataclass(frozen=True, slots=True)
class Funds:
    """Of one escrow, in minor units of `currency`. What goes out is in its operations."""

    currency: str
    received_minor: int = 0
    stray_received_minor: int = 0
    fencing_token: int = 0


@dataclass(frozen=True, slots=True)
class Artifact:
    """An object at the provider that belongs to the escrow; `body` are notes about it."""

    kind: str
    ref: str
    operation_id: str | None
    amount_minor: int | None
    currency: str | None
    status: str
    body: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StaffTask:
    """Something that a person has to look at; one open task per kind and subject."""

    kind: str
    subject_id: str
    amount_minor: int | None = None


class Book:
    """One escrow's funds, operations and artifacts; what changes here is stored together.

    `events` and `tasks` are what the change has to say; `learned` the provider ids that are new.
    """

    def __init__(
        self,
        escrow_id: str,
        funds: Funds | None = None,
        operations: Iterable[Operation] = (),
        artifacts: Iterable[Artifact] = (),
        *,
        knows_event: bool = False,
    ) -> None:
        self.escrow_id = escrow_id
        self.funds = funds
        self.operations = {entry.operation_id: entry for entry in operations}
        self.artifacts = {entry.ref: entry for entry in artifacts}
        self.knows_event = knows_event
        self.is_first = funds is None
        self.events: list[payments.PaymentEvent] = []
        self.learned: list[str] = []
        self.tasks: list[StaffTask] = []
        # When the provider made the call that is being taken in.
        self.called_at: datetime | None = None
        self._operations_before = dict(self.operations)
        self._artifacts_before = dict(self.artifacts)

    # What changed, for the store.

    @property
    def changed_operations(self) -> list[Operation]:
        before = self._operations_before
        return [e for e in self.operations.values() if before.get(e.operation_id) != e]

    @property
    def changed_artifacts(self) -> list[Artifact]:
        before = self._artifacts_before
        return [entry for entry in self.artifacts.values() if before.get(entry.ref) != entry]

    def is_new(self, operation: Operation) -> bool:
        return operation.operation_id not in self._operations_before

    # Reading.

    def spent_minor(self, *kinds: Kind) -> int:
        """Return the sum of the operations of `kinds` that did not fail, in minor units."""
        return sum(entry.amount_minor for entry in self._live(*kinds))

    def fees_minor(self) -> int:
        return sum(entry.fees_minor for entry in self._live(Kind.PAYOUT, Kind.REFUND))

    def _live(self, *kinds: Kind) -> list[Operation]:
        return [
            entry
            for entry in self.operations.values()
            if entry.kind in kinds and entry.status is not Status.FAILED
        ]

    def covers(self, operation: Operation) -> bool:
        """Tell whether the escrow received enough for `operation` beside all that is not failed."""
        assert operation.kind in SPENDING, "only what spends is covered"
        assert self.funds is not None, "an escrow with operations has funds"
        wanted = operation.amount_minor + operation.fees_minor
        if operation.kind is Kind.STRAY_REFUND:
            receipt = self.artifacts.get(operation.payment_ref or "")
            returned = sum(
                entry.amount_minor
                for entry in self._live(Kind.STRAY_REFUND)
                if entry.payment_ref == operation.payment_ref
            )
            return receipt is not None and returned + wanted <= (receipt.amount_minor or 0)
        spent = self.spent_minor(Kind.PAYOUT, Kind.REFUND) + self.fees_minor()
        return spent + wanted <= self.funds.received_minor

    def cancel_of(self, intent_operation_id: str) -> Operation | None:
        """Return the cancellation that was ordered for an instrument."""
        for entry in self.operations.values():
            if entry.kind is Kind.CANCEL and entry.intent_operation_id == intent_operation_id:
                return entry
        return None

    def intent_of(self, ref: str) -> Operation | None:
        """Return the operation that made the instrument `ref`."""
        for entry in self.operations.values():
            if entry.kind is Kind.INTENT and entry.provider_ref == ref:
                return entry
        return None

    def charge_for_payout(self) -> str | None:
        """Return the charge of the receipt that pays for this escrow."""
        for entry in self.artifacts.values():
            if entry.kind == INTENT and entry.status == RECEIVED:
                return str(entry.body.get("charge_ref") or "") or None
        return None

    # Changing.

    def put(self, operation: Operation) -> None:
        assert len(self.operations) < _OPERATIONS_MAX, "an escrow has a limit of operations"
        self.operations[operation.operation_id] = operation

    def keep(self, artifact: Artifact) -> None:
        if artifact.ref not in self.artifacts:
            self.learned.append(artifact.ref)
        self.artifacts[artifact.ref] = artifact

    def receive_stray(self, receipt: Artifact) -> None:
        """Count a receipt that only goes back and never counted toward the escrow."""
        assert self.funds is not None, "an escrow with a receipt has funds"
        stray = self.funds.stray_received_minor + (receipt.amount_minor or 0)
        self.funds = replace(self.funds, stray_received_minor=stray)
        self.keep(replace(receipt, status=STRAY))

    def take_back_payout(self, transfer_ref: str, total_minor: int) -> int:
        """Note that so much of a transfer has come back; return how much of it is new."""
        transfer = self.artifacts[transfer_ref]
        known = taken_back_minor(transfer)
        if total_minor <= known:
            return 0
        self.keep(replace(transfer, body={**transfer.body, "taken_back_minor": total_minor}))
        return total_minor - known

    def receive(self, receipt: Artifact, *, stray: bool = False) -> None:
        """Count a receipt toward the escrow, or move a counted one to what only goes back."""
        assert self.funds is not None, "an escrow with a receipt has funds"
        amount = receipt.amount_minor or 0
        if not stray:
            counted = 0 if receipt.status == FOREIGN else amount
            self.funds = replace(self.funds, received_minor=self.funds.received_minor + counted)
            self.keep(receipt)
            return
        counted = amount if receipt.status == RECEIVED else 0
        self.funds = replace(
            self.funds,
            received_minor=self.funds.received_minor - counted,
            stray_received_minor=self.funds.stray_received_minor + amount,
        )
        self.keep(replace(receipt, status=STRAY))

    def say(
        self,
        now: datetime,
        cause: Operation | common.Metadata,
        fact: tuple[str | int, ...],
        **body: Any,
    ) -> None:
        """Publish a PaymentEvent; its id is derived from `fact`, so one fact is one message."""
        message_id = str(ids.derived("payment-event", *fact))
        called = self.called_at
        if isinstance(cause, Operation):
            called = called or called_at(cause)
            cause = metadata_of(cause)
        self.events.append(
            payments.PaymentEvent(
                metadata=metadata.caused_by(cause, common.PRODUCER_PAYMENTS, now, message_id),
                escrow_id=self.escrow_id,
                provider_called_at=metadata.timestamp(called) if called else None,
                **body,
            )
        )


def taken_back_minor(transfer: Artifact) -> int:
    """Return how much of a transfer is known to have come back, in minor units."""
    return int(transfer.body.get("taken_back_minor") or 0)


def metadata_of(operation: Operation) -> common.Metadata:
    """Return the metadata of the command that ordered `operation`, as far as it is kept."""
    return common.Metadata(
        message_id=operation.command_id,
        traceparent=operation.traceparent,
        correlation_id=operation.correlation_id,
    )


def money(amount_minor: int, currency: str) -> common.Money:
    """Return Money; a currency that we do not trade in is left unspecified."""
    known = currency_number(currency) if currency in EXPONENTS else common.CURRENCY_UNSPECIFIED
    return common.Money(minor=amount_minor, currency=known)
