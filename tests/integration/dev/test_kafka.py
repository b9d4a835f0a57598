"""Both Kafkas of the local stack hold what they have acknowledged."""

import subprocess
import sys
import time

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from bloxtr8.dev import process
from bloxtr8.dev.apache_kafka import ApacheKafka
from bloxtr8.dev.kafka import InProcessKafka


async def _publish(bootstrap: str, value: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)
    await producer.start()
    try:
        await producer.send_and_wait("notes", value, partition=0)
    finally:
        await producer.stop()


async def _read(bootstrap: str) -> bytes:
    consumer = AIOKafkaConsumer(
        "notes", bootstrap_servers=bootstrap, auto_offset_reset="earliest", group_id=None
    )
    await consumer.start()
    try:
        record = await consumer.getone()
        return bytes(record.value)
    finally:
        await consumer.stop()


async def test_the_cluster_in_this_process_speaks_kafka(kafka_cluster: InProcessKafka) -> None:
    await _publish(kafka_cluster.bootstrap, b"hello")
    assert await _read(kafka_cluster.bootstrap) == b"hello"


async def test_two_clusters_know_nothing_of_each_other(kafka_cluster: InProcessKafka) -> None:
    other = InProcessKafka()
    await _publish(kafka_cluster.bootstrap, b"here")
    await _publish(other.bootstrap, b"there")
    assert await _read(other.bootstrap) == b"there"
    other.stop()


@pytest.mark.apache
async def test_apache_kafka_keeps_acknowledged_messages_through_a_crash() -> None:
    kafka = ApacheKafka()
    kafka.start()
    try:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
        await admin.start()
        await admin.create_topics([NewTopic("notes", 1, 1)])
        await admin.close()
        await _publish(kafka.bootstrap, b"kept")
        kafka.kill()
        kafka.start()
        assert await _read(kafka.bootstrap) == b"kept"
    finally:
        kafka.stop()


def test_a_child_ends_with_the_parent_that_was_killed() -> None:
    parent = subprocess.run(
        [sys.executable, "-c", _PARENT], capture_output=True, check=False, timeout=120
    )
    assert parent.returncode == -9
    port = int(parent.stdout)
    assert _refused_within(port, seconds=60)


_PARENT = """
import os, pathlib, signal, sys, tempfile, time
from bloxtr8.dev import process
port = process.free_port()
log = pathlib.Path(tempfile.mkdtemp()) / "log"
process.spawn([sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"], log)
while not process.accepts_connections(port):
    time.sleep(0.05)
print(port, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def _refused_within(port: int, *, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not process.accepts_connections(port):
            return True
        time.sleep(0.05)
    return False
