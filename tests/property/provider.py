"""A payment provider that keeps its word: each operation has at most one effect."""

from dataclasses import dataclass, field

from proto.bloxtr8.payments.v1 import payments_pb2 as payments
from tests.unit.escrow.trade import fields_of


@dataclass
class Operation:
    """A payout or refund that was ordered. `ended`: the provider proved it will never happen."""

    kind: str
    amount_minor: int
    currency: int
    attempt: int
    done: bool = False
    ended: bool = False
    failed_attempts: set[int] = field(default_factory=set)


class Provider:
    """Takes orders; `operations` is what may still happen and what did."""

    def __init__(self) -> None:
        self.operations: dict[str, Operation] = {}
        self._seen = 0

    def take(self, orders: list[payments.PaymentCommand]) -> None:
        """Take in the orders that were said since the last call."""
        for order in orders[self._seen :]:
            name = order.WhichOneof("body")
            if name in ("transfer_to_seller", "initiate_refund"):
                self._order(str(name), fields_of(order))
        self._seen = len(orders)

    def _order(self, name: str, body: payments.TransferToSeller | payments.InitiateRefund) -> None:
        kind = "payout"
        if isinstance(body, payments.InitiateRefund):
            kind = "stray" if body.kind == payments.OPERATION_KIND_STRAY_REFUND else "refund"
        known = self.operations.get(body.operation_id)
        if known is None:
            self.operations[body.operation_id] = Operation(
                kind, body.amount.minor, body.amount.currency, body.attempt
            )
            return
        assert not known.ended, "what was proven dead is not ordered again under its id"
        assert known.amount_minor == body.amount.minor, "one id, one amount"
        assert body.attempt > known.attempt, "each attempt is ordered once"
        known.attempt = body.attempt

    def moved(self, *kinds: str) -> int:
        """Return what has really left by operations of these kinds."""
        return sum(
            operation.amount_minor
            for operation in self.operations.values()
            if operation.done and operation.kind in kinds
        )
