"""A broker in memory: partitions in order, one group's committed offsets, generations."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from bloxtr8.messaging.partitioning import partition_of
from bloxtr8.messaging.topics import BY_NAME
from tests.sim.faults import Faults

PARTITIONS = 2
CHANGELOG = "changelog"

Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Entry:
    """A record as it stands in a partition."""

    key: bytes
    value: bytes | None
    producer: int


class Broker:
    """Everything that was acknowledged stays; what was not may be here all the same."""

    def __init__(self, faults: Faults) -> None:
        self.logs: dict[Place, list[Entry]] = defaultdict(list)
        self.committed: dict[Place, int] = {}
        self.generation = 0
        self._faults = faults

    def append(self, topic: str, entry: Entry, *, may_repeat: bool = False) -> None:
        """Take a record; `may_repeat`: a client that tried again may have put it here twice."""
        log = self.logs[topic, partition_of(entry.key, PARTITIONS)]
        log.append(entry)
        if may_repeat and self._faults.strikes(self._faults.repeat):
            log.append(entry)

    def publish(self, topic: str, key: bytes, message: Any) -> None:
        """Take a message whose publisher waits and may die before or after it is here."""
        self._faults.step()
        entry = Entry(key, message.SerializeToString(), message.metadata.producer)
        self.append(topic, entry, may_repeat=True)
        self._faults.step()

    def read(self, place: Place, offset: int) -> Entry | None:
        log = self.logs[place]
        return log[offset] if offset < len(log) else None

    def end(self, place: Place) -> int:
        return len(self.logs[place])

    def commit(self, place: Place, offset: int, generation: int) -> None:
        """Refused, as brokers do, to members of a generation that is over."""
        if generation == self.generation:
            assert offset >= self.committed.get(place, 0), "a committed offset goes back"
            self.committed[place] = offset

    def messages(self, topic: str) -> list[Any]:
        """Return everything in a topic, decoded, partition by partition."""
        spec = BY_NAME[topic]
        return [
            spec.message.FromString(entry.value)
            for partition in range(PARTITIONS)
            for entry in self.logs[topic, partition]
        ]


class Reader:
    """One consumer of one partition: where it stands, and what it has acknowledged."""

    def __init__(self, broker: Broker, place: Place) -> None:
        self._broker = broker
        self.place = place
        self.position = broker.committed.get(place, 0)

    @property
    def has_next(self) -> bool:
        return self.position < self._broker.end(self.place)

    def next(self) -> Entry:
        entry = self._broker.read(self.place, self.position)
        assert entry is not None, "asked only when there is one"
        return entry

    def done(self) -> None:
        """What was read is acknowledged; the broker hears of it with the next commit."""
        self.position += 1

    def commit(self, generation: int) -> None:
        self._broker.commit(self.place, self.position, generation)
