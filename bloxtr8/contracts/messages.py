"""What happens to a contract, as the messages that say so on contracts.events.v1."""

from typing import Any
from uuid import UUID

from google.protobuf.message import Message

from bloxtr8 import ids
from bloxtr8.market.place import Change
from bloxtr8.messaging import metadata
from bloxtr8.messaging.metadata import timestamp
from bloxtr8.messaging.topics import CONTRACTS_EVENTS
from bloxtr8.store.outbox import enqueue
from proto.bloxtr8.contracts.v1 import contracts_pb2 as contracts

Row = dict[str, Any]

_FIELDS = {
    field.message_type.full_name: field.name
    for field in contracts.ContractEvent.DESCRIPTOR.oneofs_by_name["body"].fields
    if field.message_type is not None
}


async def say(change: Change, row: Row, body: Message, *more: str) -> UUID:
    """Say `body` about a contract when the transaction commits; return the event's id.

    Each kind is said once of a contract, `more` tells the times of one kind apart.
    """
    name, contract_id = _FIELDS[body.DESCRIPTOR.full_name], str(row["id"])
    signer = change.place.contracts
    event = contracts.ContractEvent(
        metadata=metadata.new(
            signer.producer,  # type: ignore[arg-type]
            change.now,
            traceparent=change.actor.traceparent,
            message_id=str(ids.derived(name, contract_id, *more)),
            correlation_id=str(row["escrow_id"]),
        ),
        contract_id=contract_id,
    )
    getattr(event, name).CopyFrom(body)
    await enqueue(change.tx, CONTRACTS_EVENTS, event, signer)
    return UUID(event.metadata.message_id)


def ready(row: Row) -> contracts.ContractReady:
    return contracts.ContractReady(
        buyer_id=str(row["buyer_id"]),
        seller_id=str(row["seller_id"]),
        document_sha256=row["pdf_sha256"].hex(),
        sign_deadline_at=timestamp(row["sign_deadline_at"]),
    )


def signed(row: Row, side: str, method: str) -> contracts.ContractSigned:
    return contracts.ContractSigned(
        buyer_id=str(row["buyer_id"]),
        seller_id=str(row["seller_id"]),
        side=contracts.ContractSide.Value(f"CONTRACT_SIDE_{side}"),
        method=contracts.SignatureMethod.Value(f"SIGNATURE_METHOD_{method}"),
        document_sha256=row["pdf_sha256"].hex(),
    )


def voided(row: Row) -> contracts.ContractVoided:
    reason = f"CONTRACT_VOID_REASON_{row['void_reason']}"
    return contracts.ContractVoided(
        buyer_id=str(row["buyer_id"]),
        seller_id=str(row["seller_id"]),
        listing_id=str(row["listing_id"]),
        reason=contracts.ContractVoidReason.Value(reason),
    )
