"""Messages that nothing could handle, for staff: looked at, sent again, discarded."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from bloxtr8.errors import AlreadyDecided, ConflictOfInterest, InvalidState
from bloxtr8.market.actors import Actor
from bloxtr8.market.dead_letters import Row, Seen
from bloxtr8.messaging import envelope, letters
from bloxtr8.messaging.metadata import moment
from bloxtr8.messaging.topics import TOPICS
from bloxtr8.store.database import Transaction
from web import pages
from web.actors import actor_of
from web.call import Call
from web.fields import Answer, Time
from web.limits import RateClass
from web.requests import Page, StaffAction
from web.routes import Handler, KeyRule, Reply, Route, Who
from web.submission import once
from web.trading import id_of, told

_TRACE_CHARACTERS_MAX = 8_000
Status = Literal["OPEN", "REPLAYED", "DISCARDED"]
Decision = Callable[[Transaction, Actor, Seen, str, datetime], Awaitable[Row]]


class LetterList(Page):
    topic: Literal[*(spec.name for spec in TOPICS)] | None = None  # type: ignore[valid-type]
    kind: Literal["MALFORMED", "UNAUTHENTIC", "HANDLER", "POISON"] | None = Field(
        None, alias="class"
    )
    status: Status | None = None


class LetterOut(Answer):
    """A message that could not be handled. `class`: in what way; `attempts`: how often."""

    id: str
    topic: str
    partition: int
    offset: str
    key: str
    type: str
    kind: str = Field(serialization_alias="class")
    error: str
    attempts: int
    failed_at: Time
    status: Status
    handled_by: str | None
    handled_at: Time | None


class LetterWhole(LetterOut):
    """`message` without personal data; null: it cannot be read, `unreadable` says why."""

    headers: dict[str, str]
    message: dict[str, Any] | None
    unreadable: str | None
    bytes: int
    trace: str


class LetterPage(Answer):
    items: list[LetterOut]
    next_cursor: str | None


async def list_all(call: Call) -> Reply:
    """The latest first."""
    query: LetterList = call.query
    position = pages.position(call)
    found = await call.deps.dead_letters.of([query.topic] if query.topic else ())
    shown, cursor = pages.cut(call, _wanted(found, query, position), _place)
    body = LetterPage(items=[LetterOut(**_members(seen)) for seen in shown], next_cursor=cursor)
    return Reply(body, headers=pages.link(call, cursor))


def _wanted(found: Sequence[Seen], query: LetterList, position: list[str] | None) -> list[Seen]:
    before = (int(position[0]), position[1]) if position else None
    return [
        seen
        for seen in found
        if query.kind in (None, letters.kind(seen.letter))
        and query.status in (None, seen.status)
        and (before is None or _key(seen) < before)
    ]


def _key(seen: Seen) -> tuple[int, str]:
    return seen.letter.failed_at.ToMicroseconds(), seen.id


def _place(seen: Seen) -> list[str]:
    at, letter_id = _key(seen)
    return [str(at), letter_id]


async def read(call: Call) -> Reply:
    seen = await call.deps.dead_letters.one(id_of(call, "letter_id"))
    message, wrong = call.deps.dead_letters.content(seen.letter)
    return Reply(
        LetterWhole(
            **_members(seen),
            headers=letters.headers(seen.letter),
            message=message,
            unreadable=wrong or None,
            bytes=len(seen.letter.value),
            trace=seen.letter.trace[:_TRACE_CHARACTERS_MAX],
        )
    )


async def replay(call: Call) -> Reply:
    """Send a message again when the transaction commits; its ids make that safe."""
    return await _decide(call, call.deps.dead_letters.replay)


async def discard(call: Call) -> Reply:
    return await _decide(call, call.deps.dead_letters.discard)


async def _decide(call: Call, decision: Decision) -> Reply:
    body: StaffAction = call.body
    seen = await _open(call)

    async def work(tx: Transaction) -> Reply:
        row = await decision(tx, actor_of(call), seen, body.reason, call.now)
        return told(LetterOut(**_members(Seen(seen.letter, row))), 202)

    return await once(call, work)


async def _open(call: Call) -> Seen:
    """Return the letter; raises NotFound, and AlreadyDecided."""
    seen = await call.deps.dead_letters.one(id_of(call, "letter_id"))
    if seen.status != "OPEN":
        raise AlreadyDecided(current_status=seen.status)
    return seen


def _members(seen: Seen) -> dict[str, Any]:
    letter, decision = seen.letter, seen.decision or {}
    by = decision.get("handled_by")
    return {
        "id": seen.id,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": str(letter.offset),
        "key": letters.key(letter),
        "type": letters.headers(letter).get(envelope.TYPE_HEADER, ""),
        "kind": letters.kind(letter),
        "error": letter.error,
        "attempts": letter.attempts,
        "failed_at": moment(letter.failed_at),
        "status": seen.status,
        "handled_by": str(by) if by else None,
        "handled_at": decision.get("handled_at"),
    }


def _decision(name: str, handler: Handler, summary: str) -> Route:
    return Route(
        "POST",
        f"/api/v1/staff/dead-letters/{{letter_id}}/{name}",
        handler,
        Who.ADMIN,
        summary,
        RateClass.STAFF,
        body=StaffAction,
        answer=LetterOut,
        status=202,
        key=KeyRule.OPTIONAL,
        errors=(AlreadyDecided, ConflictOfInterest, InvalidState),
    )


ROUTES = (
    Route(
        "GET",
        "/api/v1/staff/dead-letters",
        list_all,
        Who.SUPPORT,
        "Messages that could not be handled",
        RateClass.STAFF,
        query=LetterList,
        answer=LetterPage,
    ),
    Route(
        "GET",
        "/api/v1/staff/dead-letters/{letter_id}",
        read,
        Who.SUPPORT,
        "One such message",
        RateClass.STAFF,
        answer=LetterWhole,
    ),
    _decision("replay", replay, "Send a message to its topic again"),
    _decision("discard", discard, "Never handle a message"),
)
