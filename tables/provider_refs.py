"""`provider_refs`: a provider's id (ASCII bytes) → who said when that it is which escrow's."""

from typing import TYPE_CHECKING

from bloxtr8.messaging.topics import WEBHOOK_EVENTS
from proto.bloxtr8.webhook.v1.webhook_pb2 import WebhookEvent

if TYPE_CHECKING:
    from bloxtr8.messaging.app import BloxtrApp
    from tables.durable import DurableTable

NAME = "provider_refs"


def version(value: bytes) -> tuple[int, int]:
    """Order two values of one id: the later word counts."""
    said = WebhookEvent.FromString(value).metadata.occurred_at
    return said.seconds, said.nanos


def escrow_of(value: bytes | None) -> str:
    """Return the escrow that a value names, "" for none."""
    return "" if value is None else WebhookEvent.FromString(value).reference.escrow_id


def register(app: "BloxtrApp") -> "DurableTable":
    return app.durable_table(NAME, WEBHOOK_EVENTS, version)
