"""The list of topics, and what provisioning makes of it."""

import pytest

from bloxtr8.config import KafkaSettings
from bloxtr8.messaging import partitioning, provision, topics

PRODUCTION = KafkaSettings(partitions=12, replication=3)


def test_every_topic_and_its_dead_letters_are_wanted() -> None:
    names = {planned.name for planned in provision.wanted(PRODUCTION)}
    for spec in topics.TOPICS:
        assert {spec.name, f"{spec.name}.dlq"} <= names
    assert {"bloxtr8-escrows-changelog", "bloxtr8-provider_refs-changelog"} <= names
    assert len(names) == len(provision.wanted(PRODUCTION))


def test_all_have_the_same_number_of_partitions() -> None:
    # Source, table and changelog are co-partitioned.
    assert {planned.partitions for planned in provision.wanted(PRODUCTION)} == {12}


@pytest.mark.parametrize(("replication", "in_sync"), [(1, "1"), (2, "1"), (3, "2"), (5, "4")])
def test_one_broker_may_be_away(replication: int, in_sync: str) -> None:
    for planned in provision.wanted(KafkaSettings(replication=replication)):
        assert planned.replication == replication
        assert planned.config["min.insync.replicas"] == in_sync


def test_only_changelogs_are_compacted() -> None:
    for planned in provision.wanted(PRODUCTION):
        policy = "compact" if planned.name.endswith("-changelog") else "delete"
        assert planned.config["cleanup.policy"] == policy


@pytest.mark.parametrize(
    ("name", "days"),
    [
        ("escrow.commands.v1", 7),
        ("escrow.events.v1", 90),
        ("payments.commands.v1", 7),
        ("payments.events.v1", 90),
        ("webhook.events.v1", 90),
        ("contracts.events.v1", 90),
        ("marketplace.events.v1", 90),
        ("escrow.commands.v1.dlq", 30),
    ],
)
def test_retention(name: str, days: int) -> None:
    planned = {topic.name: topic for topic in provision.wanted(PRODUCTION)}[name]
    assert planned.config["retention.ms"] == str(days * 24 * 3600 * 1000)


def test_a_record_of_many_messages_fits_into_its_changelog() -> None:
    for planned in provision.wanted(PRODUCTION):
        assert int(planned.config["max.message.bytes"]) >= 2 * topics.MESSAGE_BYTES_MAX


def test_an_event_topic_is_for_whoever_reads() -> None:
    # Events of the escrow agent are protected by ACLs; commands and payment facts by signatures.
    unsigned = {spec.name for spec in topics.TOPICS if not spec.signed}
    assert unsigned == {"escrow.events.v1"}


def test_every_message_has_its_key_field() -> None:
    for spec in topics.TOPICS:
        assert spec.key_field in spec.message.DESCRIPTOR.fields_by_name
        assert spec.message.DESCRIPTOR.oneofs_by_name["body"].fields
        assert spec.message.DESCRIPTOR.fields[0].name == "metadata"


@pytest.mark.parametrize(
    ("key", "hashed"),
    [
        # From Apache Kafka's UtilsTest: were the hash to change, escrows would leave their records.
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_keys_land_where_every_client_puts_them(key: bytes, hashed: int) -> None:
    assert partitioning.partition_of(key, 12) == (hashed & 0x7FFFFFFF) % 12


def test_a_partition_is_one_of_those_there_are() -> None:
    for n in range(1000):
        assert 0 <= partitioning.partition_of(str(n).encode(), 7) < 7
