"""Deciding what an event means for the mirror: next, known, fenced, superseding, or after a gap.

Pure. A sequence number may exist twice when a worker that had been paused wrote after another
had taken over. Every event names the token of the one it builds on, so the newest owner's last
event leads back through all that counts; what is not on that way does not, though its rows stay.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from bloxtr8.escrow.evolve import evolve
from proto.bloxtr8.escrow.v1.events_pb2 import EscrowEvent
from proto.bloxtr8.escrow.v1.record_pb2 import Escrow

CHAIN_START = bytes(32)
# Of an event that does not say which one it builds on. A consumer group's tokens begin at 1.
UNKNOWN = 0


class MirrorGap(Exception):
    """An event came before its predecessor; asked again later it may fit."""


class MirrorConflict(Exception):
    """Two events with the same sequence and fencing token say different things."""


class Place(Enum):
    NEXT = "next"
    DUPLICATE = "duplicate"
    FENCED = "fenced"
    SUPERSEDES = "supersedes"


@dataclass(frozen=True, slots=True)
class Stored:
    """A row of escrow_events."""

    sequence: int
    fencing_token: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class NewRow:
    """A row to append, with its place in the escrow's hash chain."""

    event: EscrowEvent
    payload: bytes
    prev_hash: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class Step:
    """An event that took effect and the states around it. `replaced`: the past was rewritten."""

    event: EscrowEvent
    before: Escrow | None
    after: Escrow
    replaced: bool = False


@dataclass(slots=True)
class Folding:
    """One escrow while a batch is applied. `known` has the rows that the batch may meet again.

    `history` are all rows, loaded only when an event supersedes another.
    """

    escrow_id: str
    escrow: Escrow | None = None
    fencing_token: int = 0
    chain_hash: bytes = CHAIN_START
    known: dict[tuple[int, int], bytes] = field(default_factory=dict)
    history: list[Stored] = field(default_factory=list)
    rows: list[NewRow] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    @property
    def version(self) -> int:
        return 0 if self.escrow is None else self.escrow.sequence

    def place(self, event: EscrowEvent) -> Place:
        """Return what `event` is here; raises MirrorGap and MirrorConflict."""
        same = self.known.get((event.sequence, event.fencing_token))
        if same is not None:
            if same != event.SerializeToString():
                raise MirrorConflict(
                    f"{self.escrow_id}: event {event.sequence} differs from the one stored"
                )
            return Place.DUPLICATE
        if event.sequence > self.version + 1:
            raise MirrorGap(f"{self.escrow_id}: {event.sequence} after {self.version}")
        if event.fencing_token < self.fencing_token:
            # Whoever has the later events did not build them on this one.
            return Place.FENCED
        if event.sequence == self.version + 1:
            builds_on_last = event.previous_fencing_token in (UNKNOWN, self.fencing_token)
            return Place.NEXT if builds_on_last else Place.SUPERSEDES
        at = max((t for sequence, t in self.known if sequence == event.sequence), default=0)
        return Place.SUPERSEDES if event.fencing_token > at else Place.FENCED

    def append(self, event: EscrowEvent) -> None:
        """Take the next event."""
        before = self.escrow
        self.escrow = evolve(before, event)
        self.fencing_token = event.fencing_token
        self._add_row(event)
        self.steps.append(Step(event, before, self.escrow))

    def supersede(self, event: EscrowEvent) -> None:
        """Take an event that replaces one, and fold the whole past again without the old one.

        Raises MirrorGap when what it builds on is not among the rows.
        """
        before = self.escrow
        stored = Stored(event.sequence, event.fencing_token, event.SerializeToString())
        effective = effective_events([*self.history, *self._own_history(), stored])
        self._add_row(event)
        self.escrow, self.fencing_token = fold(effective)
        assert self.escrow is not None, "the superseding event itself is there"
        self.steps.append(Step(event, before, self.escrow, replaced=True))

    def _own_history(self) -> list[Stored]:
        """Return the rows of this batch."""
        return [
            Stored(row.event.sequence, row.event.fencing_token, row.payload) for row in self.rows
        ]

    def _add_row(self, event: EscrowEvent) -> NewRow:
        payload = event.SerializeToString()
        row = NewRow(event, payload, self.chain_hash, chained(self.chain_hash, event, payload))
        self.rows.append(row)
        self.chain_hash = row.hash
        self.known[event.sequence, event.fencing_token] = payload
        return row


def chained(prev_hash: bytes, event: EscrowEvent, payload: bytes) -> bytes:
    """Return the SHA-256 of a row: its predecessor's hash, its place, its bytes."""
    place = event.sequence.to_bytes(8, "big") + event.fencing_token.to_bytes(8, "big")
    return hashlib.sha256(prev_hash + place + payload).digest()


def effective_events(rows: Iterable[Stored]) -> list[EscrowEvent]:
    """Return the events that count: those on the way back from the newest owner's last one.

    Raises MirrorGap when the way leads to an event that is not there.
    """
    known = {(row.sequence, row.fencing_token): row for row in rows}
    place = max(known, key=lambda key: (key[1], key[0]), default=None)
    backwards: list[EscrowEvent] = []
    while place is not None:
        row = known.get(place)
        if row is None:
            raise MirrorGap(f"nothing stored at {place[0]} with token {place[1]}")
        event = EscrowEvent.FromString(row.payload)
        backwards.append(event)
        place = _before(event, known) if event.sequence > 1 else None
    return backwards[::-1]


def _before(event: EscrowEvent, known: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """Return sequence and token of the event that `event` builds on."""
    sequence, token = event.sequence - 1, event.previous_fencing_token
    if token == UNKNOWN:
        # Not said: the newest that its owner can have known.
        older = [t for s, t in known if s == sequence and t <= event.fencing_token]
        token = max(older, default=UNKNOWN)
    return sequence, token


def fold(effective: Sequence[EscrowEvent]) -> tuple[Escrow | None, int]:
    """Return the state after `effective` and the token of its last event."""
    escrow: Escrow | None = None
    token = 0
    for event in effective:
        escrow, token = evolve(escrow, event), event.fencing_token
    return escrow, token
