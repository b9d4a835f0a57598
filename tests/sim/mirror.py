"""The mirror: the real folding and the real bookings, kept in memory."""

from collections import Counter, defaultdict
from dataclasses import replace

from bloxtr8.ledger import bookings
from bloxtr8.ledger.accounts import floor_minor
from bloxtr8.messaging.topics import ESCROW_EVENTS, PAYMENTS_EVENTS
from bloxtr8.store.mirror_fold import Folding, Place, Stored
from proto.bloxtr8.escrow.v1.events_pb2 import EscrowEvent
from proto.bloxtr8.payments.v1.payments_pb2 import PaymentEvent
from tests.sim.broker import PARTITIONS, Broker, Reader

Account = tuple[str, str]


class Mirror:
    """One consumer of both event topics; a restart reads again what was not committed."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.rows: dict[str, list[Stored]] = defaultdict(list)
        self.foldings: dict[str, Folding] = {}
        self.balances: Counter[Account] = Counter()
        self.superseded = 0
        self._booked: set[str] = set()
        self._offsets: dict[tuple[str, int], int] = {}
        self.restart()

    def restart(self) -> None:
        self.readers = [
            Reader(self._broker, (spec.name, partition))
            for spec in (ESCROW_EVENTS, PAYMENTS_EVENTS)
            for partition in range(PARTITIONS)
        ]
        for reader in self.readers:
            reader.position = self._offsets.get(reader.place, 0)

    @property
    def ready(self) -> list[Reader]:
        return [reader for reader in self.readers if reader.has_next]

    def consume(self, reader: Reader) -> bool:
        """Take in one message; False when what it rests on is not here yet."""
        value = reader.next().value or b""
        if reader.place[0] == ESCROW_EVENTS.name:
            event = EscrowEvent.FromString(value)
            if event.sequence:
                self._take(event)
        elif not self._pay(PaymentEvent.FromString(value)):
            return False
        reader.done()
        return True

    def commit(self) -> None:
        for reader in self.readers:
            self._offsets[reader.place] = reader.position

    def _take(self, event: EscrowEvent) -> None:
        folding = self.foldings.setdefault(event.escrow_id, Folding(event.escrow_id))
        place = folding.place(event)
        steps = len(folding.steps)
        if place is Place.NEXT:
            folding.append(event)
        elif place is Place.SUPERSEDES:
            self.superseded += 1
            # In a batch of its own, as if everything before had been written.
            folding = replace(folding, history=list(self.rows[event.escrow_id]), rows=[], steps=[])
            self.foldings[event.escrow_id], steps = folding, 0
            folding.supersede(event)
        else:
            return
        stored = Stored(event.sequence, event.fencing_token, event.SerializeToString())
        self.rows[event.escrow_id].append(stored)
        for step in folding.steps[steps:]:
            self._book(bookings.of_escrow_event(step.before, step.after))

    def _pay(self, event: PaymentEvent) -> bool:
        if not bookings.books(event) or event.metadata.message_id in self._booked:
            return True
        folding = self.foldings.get(event.escrow_id)
        if folding is None or folding.escrow is None:
            return False
        self._booked.add(event.metadata.message_id)
        self._book(bookings.of_payment_event(event, folding.escrow))
        return True

    def _book(self, lines: list[bookings.Line]) -> None:
        # Floors hold between bookings, not between the lines of one.
        for line in lines:
            self.balances[line.account, line.currency] += line.amount_minor
        for line in lines:
            floor = floor_minor(line.account)
            balance = self.balances[line.account, line.currency]
            assert floor is None or balance >= floor, f"{line.account} fell to {balance}"
