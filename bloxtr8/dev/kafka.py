"""Kafka inside this process: librdkafka's own cluster, for demos and tests."""

from collections.abc import Iterable

from confluent_kafka import Producer

_METADATA_SECONDS_MAX = 10.0


class InProcessKafka:
    """A Kafka cluster in memory. It speaks the real protocol on a loopback port.

    Topics appear when they are first used, with `PARTITIONS` partitions. There is no admin API,
    no compaction, no ACL, and only about the last 5 MiB of a partition are kept.
    """

    PARTITIONS = 4
    # It lets a fetch wait for all of its time, even when something comes.
    FETCH_WAIT_SECONDS = 0.01

    def __init__(self, brokers: int = 1) -> None:
        self._owner: Producer | None = Producer(
            {"bootstrap.servers": "in-process", "test.mock.num.brokers": brokers, "log_level": 3}
        )
        nodes = self._owner.list_topics(timeout=_METADATA_SECONDS_MAX).brokers
        assert len(nodes) == brokers, "the cluster is made with its owner"
        self.bootstrap = ",".join(f"{node.host}:{node.port}" for node in nodes.values())

    def create_topics(self, names: Iterable[str]) -> None:
        """Make the topics appear now, so that nobody waits for them later."""
        assert self._owner is not None, "the cluster is there"
        for name in names:
            self._owner.list_topics(name, timeout=_METADATA_SECONDS_MAX)

    def stop(self) -> None:
        """End the cluster and everything in it."""
        # The cluster lives exactly as long as the client that made it.
        self._owner = None
