"""`escrows`: escrow_id (ASCII bytes) → EscrowRecord, the authoritative state of every escrow."""

from typing import TYPE_CHECKING

from bloxtr8.messaging.topics import ESCROW_COMMANDS
from proto.bloxtr8.escrow.v1.record_pb2 import EscrowRecord

if TYPE_CHECKING:
    from bloxtr8.messaging.app import BloxtrApp
    from tables.durable import DurableTable

NAME = "escrows"


def version(value: bytes) -> tuple[int, int]:
    """Order two records of one escrow: fencing token first, then sequence."""
    record = EscrowRecord.FromString(value)
    return record.fencing_token, record.escrow.sequence


def register(app: "BloxtrApp") -> "DurableTable":
    return app.durable_table(NAME, ESCROW_COMMANDS, version)
