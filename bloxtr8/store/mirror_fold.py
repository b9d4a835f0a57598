"""Deciding what an event means for the mirror: next, known, fenced, superseding, or after a gap.

Pure. A sequence number may exist twice when a worker that had been paused wrote after another
had taken over. The higher fencing token is right from that sequence on: what the lower one
said at or after it does not count, though its rows stay.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from bloxtr8.escrow.evolve import evolve
from proto.bloxtr8.escrow.v1.events_pb2 import EscrowEvent
from proto.bloxtr8.escrow.v1.record_pb2 import Escrow

CHAIN_START = bytes(32)


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
        if event.sequence == self.version + 1:
            return Place.FENCED if event.fencing_token < self.fencing_token else Place.NEXT
        if event.fencing_token < self.fencing_token:
            # Whoever has the later events did not build them on this one.
            return Place.FENCED
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
        """Take an event that replaces one, and fold the whole past again without the old one."""
        before = self.escrow
        row = self._add_row(event)
        stored = Stored(event.sequence, event.fencing_token, row.payload)
        effective = effective_events([*self.history, *self._own_history(), stored])
        escrow, last = fold(effective)
        assert escrow is not None, "the superseding event itself is there"
        self.escrow, self.fencing_token = escrow, last
        self.steps.append(Step(event, before, escrow, replaced=True))

    def _own_history(self) -> list[Stored]:
        """Rows of this batch, the one being added left out."""
        return [
            Stored(row.event.sequence, row.event.fencing_token, row.payload)
            for row in self.rows[:-1]
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
    """Return the events that count: per sequence the highest token, tokens never falling."""
    best: dict[int, Stored] = {}
    for row in rows:
        rival = best.get(row.sequence)
        if rival is None or row.fencing_token > rival.fencing_token:
            best[row.sequence] = row
    effective: list[EscrowEvent] = []
    token = 0
    while (following := best.get(len(effective) + 1)) and following.fencing_token >= token:
        token = following.fencing_token
        effective.append(EscrowEvent.FromString(following.payload))
    return effective


def fold(effective: Sequence[EscrowEvent]) -> tuple[Escrow | None, int]:
    """Return the state after `effective` and the token of its last event."""
    escrow: Escrow | None = None
    token = 0
    for event in effective:
        escrow, token = evolve(escrow, event), event.fencing_token
    return escrow, token
