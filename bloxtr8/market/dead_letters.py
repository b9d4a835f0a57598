"""Messages that could not be handled: staff look at them, send them again, or discard them.

They lie in topics of their own; the database has what was decided about them.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from aiokafka.errors import KafkaError

from bloxtr8 import ids
from bloxtr8.config import KafkaSettings
from bloxtr8.errors import (
    AlreadyDecided,
    ConflictOfInterest,
    InvalidState,
    NotFound,
    Unavailable,
)
from bloxtr8.market import audit
from bloxtr8.market.actors import Actor
from bloxtr8.market.audit import Deed
from bloxtr8.messaging import letters
from bloxtr8.messaging.envelope import Wire
from bloxtr8.messaging.inspection import inspecting
from bloxtr8.messaging.signatures import Keyring
from bloxtr8.messaging.topics import TOPICS
from bloxtr8.store import dead_letters, outbox
from bloxtr8.store.database import Transaction
from bloxtr8.store.dead_letters import DISCARDED, REPLAYED
from proto.bloxtr8.common.v1.common_pb2 import DeadLetter

Row = dict[str, Any]

# Of each partition; more than that is a flood, to be looked at on the command line.
READ_MAX = 1_000
_WITHIN_S = 15.0
_AT_ONCE = 2
_RETRY_AFTER_S = 10
# Where people are paid or have paid from, and what providers say of them.
_PERSONAL = frozenset({"destination", "sender", "address", "raw", "provider_payment_id"})
_HIDDEN = "(hidden)"


@dataclass(frozen=True, slots=True)
class Seen:
    """A letter and what was decided about it; `decision` is None while nothing was."""

    letter: DeadLetter
    decision: Row | None

    @property
    def id(self) -> str:
        return self.letter.metadata.message_id

    @property
    def status(self) -> str:
        return str(self.decision["status"]) if self.decision else "OPEN"


class DeadLetters:
    """Reads the topics of dead letters, two readers at a time."""

    def __init__(self, settings: KafkaSettings, keyring: Keyring) -> None:
        self._settings = settings
        self._keyring = keyring
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def of(self, topics: Collection[str] = ()) -> list[Seen]:
        """Return the letters of these topics (of all without any), the latest first.

        At most 1,000 of each partition. Raises Unavailable when the broker does not answer.
        """
        wanted = topics or [spec.name for spec in TOPICS]
        try:
            async with asyncio.timeout(_WITHIN_S), self._room, inspecting(self._settings) as broker:
                found = await letters.read(broker, wanted, self._keyring, READ_MAX)
        except (TimeoutError, KafkaError) as error:
            message = "The messages cannot be read right now."
            raise Unavailable(message, retry_after_s=_RETRY_AFTER_S) from error
        every = list(found.letters.values())
        decided = await dead_letters.decisions([letters.place(letter) for letter in every])
        seen = [Seen(letter, decided.get(letters.place(letter))) for letter in every]
        return sorted(seen, key=_order, reverse=True)

    async def one(self, letter_id: UUID) -> Seen:
        """Return a letter; raises NotFound, Unavailable."""
        wanted = str(letter_id)
        seen = next((seen for seen in await self.of() if seen.id == wanted), None)
        if seen is None:
            raise NotFound
        return seen

    def content(self, letter: DeadLetter) -> tuple[dict[str, Any] | None, str]:
        """Return the message without personal data, None when it cannot be read, and why."""
        fields, wrong = letters.content(letter, self._keyring)
        return (None if fields is None else _without_personal(fields)), wrong

    async def replay(
        self, tx: Transaction, actor: Actor, seen: Seen, reason: str, now: datetime
    ) -> Row:
        """Send the message again, byte for byte, when `tx` commits; return the decision.

        Raises InvalidState when it would come back at once, AlreadyDecided, ConflictOfInterest.
        """
        letter = seen.letter
        obstacle = letters.obstacle(letter, self._keyring)
        if obstacle is not None:
            raise InvalidState(f"It would come back: {obstacle}.", current_status=seen.status)
        row = await _decide(tx, actor, letter, REPLAYED, reason, now)
        original = letters.original(letter)
        wire = Wire(letter.key, letter.value, original.headers)
        await outbox.enqueue_again(tx, ids.derived("replay", seen.id), letter.topic, wire)
        return row

    async def discard(
        self, tx: Transaction, actor: Actor, seen: Seen, reason: str, now: datetime
    ) -> Row:
        """Never handle the message; raises AlreadyDecided, ConflictOfInterest."""
        return await _decide(tx, actor, seen.letter, DISCARDED, reason, now)


def _order(seen: Seen) -> tuple[int, str]:
    return seen.letter.failed_at.ToMicroseconds(), seen.id


async def _decide(
    tx: Transaction, actor: Actor, letter: DeadLetter, status: str, reason: str, now: datetime
) -> Row:
    escrow_id = dead_letters.escrow_of(letter)
    if escrow_id is not None:
        await _require_no_part(tx, actor, escrow_id)
    row = await dead_letters.decide_once(tx, letter, status, actor.id, now)
    if row is None:
        raise AlreadyDecided
    deed = Deed(
        f"deadletter.{status.lower()}",
        ("dead_letter", letter.metadata.message_id),
        reason,
        {"topic": letter.topic, "partition": letter.partition, "offset": letter.offset},
        escrow_id,
    )
    await audit.record(tx, actor, deed, now)
    return row


async def _require_no_part(tx: Transaction, actor: Actor, escrow_id: UUID) -> None:
    mine = await tx.fetchval(
        "SELECT 1 FROM escrows WHERE id = $1 AND $2 IN (buyer_id, seller_id)", escrow_id, actor.id
    )
    if mine:
        raise ConflictOfInterest


def _without_personal(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _HIDDEN if name in _PERSONAL else _inside(value) for name, value in fields.items()
    }


def _inside(value: Any) -> Any:
    if isinstance(value, dict):
        return _without_personal(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_inside(item) for item in value]
    return value
