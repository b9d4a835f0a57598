"""A real Apache Kafka on this machine: one KRaft node on Java, jars from Maven."""

import hashlib
import shutil
import signal
import subprocess
import tempfile
import time
from base64 import urlsafe_b64encode
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from bloxtr8.dev import process
from bloxtr8.dev.cache import cache_directory

_DEPLOY = Path(__file__).resolve().parents[2] / "deploy" / "kafka"
_RESOLVE_SECONDS_MAX = 600.0
_START_SECONDS_MAX = 60.0
_STOP_SECONDS_MAX = 30.0
_POLL_SECONDS = 0.1
_JAVA_OPTIONS = ("-Xms128m", "-Xmx768m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


def missing_tools() -> list[str]:
    """Return which of the programs that a real Kafka needs are not installed."""
    return [tool for tool in ("java", "mvn") if shutil.which(tool) is None]


def resolve_jars() -> Path:
    """Return the directory with Kafka's jars; the first call fetches them with Maven.

    Raises StartFailed with Maven's output.
    """
    pom = _DEPLOY / "pom.xml"
    version = hashlib.sha256(pom.read_bytes()).hexdigest()[:16]
    cache = cache_directory()
    jars = cache / f"kafka-{version}"
    if jars.is_dir():
        return jars
    fetched = Path(tempfile.mkdtemp(prefix="kafka-", dir=cache))
    command = ["mvn", "-B", "-q", "-f", str(pom), "dependency:copy-dependencies"]
    command += ["-DincludeScope=runtime", f"-DoutputDirectory={fetched}"]
    done = subprocess.run(  # noqa: S603
        command, capture_output=True, check=False, timeout=_RESOLVE_SECONDS_MAX
    )
    if done.returncode:
        shutil.rmtree(fetched, ignore_errors=True)
        raise process.StartFailed(f"Maven: {(done.stdout + done.stderr).decode(errors='replace')}")
    with suppress(OSError):  # another process may have been first
        fetched.rename(jars)
    shutil.rmtree(fetched, ignore_errors=True)
    return jars


class ApacheKafka:
    """One broker that is its own controller. Without `directory` its data are temporary."""

    FETCH_WAIT_SECONDS = 0.5

    def __init__(self, directory: Path | None = None) -> None:
        self._temporary = directory is None
        self._root = directory or Path(tempfile.mkdtemp(prefix="bloxtr8-kafka-"))
        self._port = process.free_port()
        self._controller_port = process.free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._classpath = ""
        self.bootstrap = f"127.0.0.1:{self._port}"

    @property
    def log(self) -> Path:
        return self._root / "kafka.log"

    def start(self) -> None:
        """Start the broker and wait until it answers; formats new storage first.

        Raises StartFailed with the end of the broker's log.
        """
        assert self._process is None, "started once"
        self._root.mkdir(parents=True, exist_ok=True)
        self._classpath = f"{resolve_jars()}/*"
        properties = self._root / "server.properties"
        properties.write_text(self._properties())
        if not (self._root / "data" / "meta.properties").exists():
            self._format(properties)
        self._process = process.spawn(self._java("kafka.Kafka", str(properties)), self.log)
        self._await_ready()

    def stop(self) -> None:
        """Stop the broker; delete its data when they are temporary."""
        self._end(signal.SIGTERM)
        if self._temporary:
            shutil.rmtree(self._root, ignore_errors=True)

    def kill(self) -> None:
        """End the broker as a crash would; `start` brings it back with its data."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop the broker in order and start it again on the same port."""
        self._end(signal.SIGTERM)
        self.start()

    def _end(self, first: signal.Signals) -> None:
        if self._process is not None:
            process.stop(self._process, first, timeout_seconds=_STOP_SECONDS_MAX)
            self._process = None

    def _java(self, main: str, *arguments: str) -> list[str]:
        logging = f"-Dlog4j2.configurationFile={_DEPLOY / 'log4j2.properties'}"
        return ["java", *_JAVA_OPTIONS, logging, "-cp", self._classpath, main, *arguments]

    def _format(self, properties: Path) -> None:
        cluster = urlsafe_b64encode(uuid4().bytes).decode().rstrip("=")
        command = self._java("kafka.tools.StorageTool", "format", f"--cluster-id={cluster}")
        done = subprocess.run(  # noqa: S603
            [*command, "-c", str(properties)],
            capture_output=True,
            check=False,
            timeout=_START_SECONDS_MAX,
        )
        if done.returncode:
            output = (done.stdout + done.stderr).decode(errors="replace")
            raise process.StartFailed(f"Kafka's storage could not be formatted: {output}")

    def _properties(self) -> str:
        controller = f"127.0.0.1:{self._controller_port}"
        values = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{controller}",
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(self._root / "data"),
            # Topics are provisioned; one that appears by itself would be a mistake.
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "4",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            # After a crash the broker waits for its own old session to end.
            "broker.session.timeout.ms": "2000",
            "broker.heartbeat.interval.ms": "500",
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "1000",
        }
        return "".join(f"{name}={value}\n" for name, value in values.items())

    def _await_ready(self) -> None:
        assert self._process is not None
        until = time.monotonic() + _START_SECONDS_MAX
        while time.monotonic() < until and self._process.poll() is None:
            if process.accepts_connections(self._port):
                with suppress(KafkaException):
                    client = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 2})
                    if client.list_topics(timeout=5).brokers:
                        return
            time.sleep(_POLL_SECONDS)
        self._end(signal.SIGKILL)
        raise process.StartFailed(f"Kafka did not start:\n{process.tail(self.log)}")
