"""The table `escrows` as its changelog says, read without being a worker."""

from bloxtr8.messaging.inspection import Inspector, TopicUnknown
from bloxtr8.messaging.topics import changelog_name
from proto.bloxtr8.escrow.v1.record_pb2 import EscrowRecord


async def table_records(
    broker: Inspector, app_id: str, escrow_id: str | None = None
) -> dict[str, EscrowRecord]:
    """Return the records by escrow_id, all or one; none where there is no table yet.

    As in a recovery, what a paused worker wrote too late does not count.
    """
    found: dict[str, EscrowRecord] = {}
    key = None if escrow_id is None else escrow_id.encode()
    try:
        async for record in broker.records(changelog_name(app_id, "escrows"), key=key):
            name = record.key.decode(errors="replace")
            if record.value is None:
                found.pop(name, None)
                continue
            read = EscrowRecord.FromString(record.value)
            held = found.get(name)
            if held is None or _version(read) >= _version(held):
                found[name] = read
    except TopicUnknown:
        return {}
    return found


def _version(record: EscrowRecord) -> tuple[int, int]:
    return record.fencing_token, record.escrow.sequence
