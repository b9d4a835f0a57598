"""Which partition a key belongs to: murmur2, as every Kafka client's default partitioner."""

from aiokafka.partitioner import murmur2

_SIGN_BIT_OFF = 0x7FFFFFFF


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of `key` among `partitions`."""
    assert partitions > 0, "a topic has partitions"
    return int((murmur2(key) & _SIGN_BIT_OFF) % partitions)
