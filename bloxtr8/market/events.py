"""Facts about people, listings and offers, said on marketplace.events.v1 through the outbox."""

from datetime import datetime
from uuid import UUID

from google.protobuf.message import Message

from bloxtr8.market import notices
from bloxtr8.market.actors import Actor
from bloxtr8.market.notices import Notice
from bloxtr8.messaging import metadata
from bloxtr8.messaging.signatures import Signer
from bloxtr8.messaging.topics import MARKETPLACE_EVENTS
from bloxtr8.store.database import Transaction
from bloxtr8.store.outbox import enqueue
from proto.bloxtr8.market.v1 import market_pb2 as market

# Which of the bodies a message of a given type is.
_FIELDS = {
    field.message_type.full_name: field.name
    for field in market.MarketEvent.DESCRIPTOR.oneofs_by_name["body"].fields
    if field.message_type is not None
}
# What its person is told about their account.
_ON_ACCOUNT = frozenset(
    {
        "account_linked",
        "account_unlinked",
        "payout_method_added",
        "payout_method_verified",
        "tier_changed",
        "user_frozen",
        "user_unfrozen",
    }
)


class Events:
    """Says facts as one producer, whose key `signer` is."""

    def __init__(self, signer: Signer) -> None:
        assert signer.producer in MARKETPLACE_EVENTS.producers, "this producer may write there"
        self._signer = signer

    async def say(
        self, tx: Transaction, actor: Actor, subject_id: UUID, body: Message, now: datetime
    ) -> UUID:
        """Say `body` about a user or listing when `tx` commits; return the event's id.

        The subject's row is locked by `tx`, so that facts about it keep their order.
        """
        event = market.MarketEvent(
            metadata=metadata.new(
                self._signer.producer,  # type: ignore[arg-type]
                now,
                traceparent=actor.traceparent,
            ),
            subject_id=str(subject_id),
        )
        getattr(event, _FIELDS[body.DESCRIPTOR.full_name]).CopyFrom(body)
        await enqueue(tx, MARKETPLACE_EVENTS, event, self._signer)
        event_id = UUID(event.metadata.message_id)
        notice = _notice(event)
        if notice is not None:
            await notices.tell(tx, event_id, notice, [subject_id], now)
        return event_id


def _notice(event: market.MarketEvent) -> Notice | None:
    """Return what a fact about a person is to that person."""
    body = event.WhichOneof("body") or ""
    if body == "security_notice":
        kind = market.SecurityKind.Name(event.security_notice.kind)
        template = kind.removeprefix("SECURITY_KIND_").lower()
        return Notice(template, "ACCOUNT", f"user:{event.subject_id}")
    if body not in _ON_ACCOUNT:
        return None
    data = {}
    if body == "tier_changed":
        data = {"after": market.Tier.Name(event.tier_changed.after)}
    return Notice(body, "ACCOUNT", f"user:{event.subject_id}", data)
