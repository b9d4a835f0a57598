"""`provision` and `verify`: the topics and the escrows as they should be."""

from faust.cli import argument, option

from bloxtr8.cli.inspect.command import JSON, ExitCode, Failed, Inspect, Uuid
from bloxtr8.messaging import provision as planning
from bloxtr8.messaging.inspection import Record
from bloxtr8.messaging.topics import changelog_name
from bloxtr8.store.verify import Report
from bloxtr8.store.verify import verify as compare
from proto.bloxtr8.escrow.v1.record_pb2 import EscrowRecord


class provision(Inspect):  # noqa: N801 - the class's name is the command's
    """Create the topics that are missing; with --plan only say which."""

    options = (option("--plan", "only_plan", is_flag=True, help="Change nothing."), JSON)

    async def work(self, *, only_plan: bool) -> ExitCode:
        kafka = self.app.settings.kafka
        carry_out = planning.plan if only_plan else planning.provision
        try:
            planned = await carry_out(kafka)
        except planning.PartitionsDiffer as error:
            raise Failed(ExitCode.DIFFERENT, f"{error}.") from None
        done = "to create" if only_plan else "created"
        if self.as_json:
            self.print_json(
                [
                    {
                        "topic": topic.name,
                        "partitions": topic.partitions,
                        "replication": topic.replication,
                        "config": topic.config,
                        "exists": topic.exists,
                    }
                    for topic in planned
                ]
            )
            return ExitCode.OK
        self.print_table(
            "Topics",
            ("topic", "partitions#", "replicas#", "config", ""),
            (
                (
                    topic.name,
                    topic.partitions,
                    topic.replication,
                    " ".join(f"{name}={value}" for name, value in topic.config.items()),
                    "there" if topic.exists else done,
                )
                for topic in planned
            ),
        )
        return ExitCode.OK


class verify(Inspect):  # noqa: N801
    """Refold all events and compare table, mirror, ledger and operations; exit code 1 if unequal.

    Meant for a system at rest: what is under way shows as a difference until it has arrived.
    """

    options = (argument("escrow_id", type=Uuid(), required=False), JSON)

    async def work(self, *, escrow_id: str | None) -> ExitCode:
        records = await self._records(escrow_id)
        async with self.database():
            report = await compare(escrow_id, records)
        if self.as_json:
            self.print_json(_summary(report, len(records)))
        else:
            self._print(report, len(records))
        return ExitCode.OK if report.ok else ExitCode.DIFFERENT

    async def _records(self, escrow_id: str | None) -> dict[str, EscrowRecord]:
        """Return the records of the table, read from its changelog."""
        topic = changelog_name(self.app.settings.kafka.app_id, "escrows")
        key = None if escrow_id is None else escrow_id.encode()
        newest: dict[str, EscrowRecord] = {}
        async with self.broker() as broker:
            async for change in broker.records(topic, key=key):
                _keep_newest(newest, change)
        return newest

    def _print(self, report: Report, records: int) -> None:
        self.print_table(
            f"{report.escrows} escrows, {report.events} events, {records} records",
            ("what", "of", "expected", "actual"),
            ((d.what, d.subject, d.expected, d.actual) for d in report.differences),
        )
        self.console.print("All agree." if report.ok else f"{len(report.differences)} differences.")


def _keep_newest(newest: dict[str, EscrowRecord], change: Record) -> None:
    escrow_id = change.key.decode()
    if change.value is None:
        newest.pop(escrow_id, None)
        return
    record = EscrowRecord.FromString(change.value)
    known = newest.get(escrow_id)
    # A worker that was paused may have written late; its token is the lower one.
    if known is None or _version(record) >= _version(known):
        newest[escrow_id] = record


def _version(record: EscrowRecord) -> tuple[int, int]:
    return record.fencing_token, record.escrow.sequence


def _summary(report: Report, records: int) -> dict[str, object]:
    return {
        "ok": report.ok,
        "escrows": report.escrows,
        "events": report.events,
        "records": records,
        "counts": report.counts(),
        "differences": [
            {"what": d.what, "subject": d.subject, "expected": d.expected, "actual": d.actual}
            for d in report.differences
        ],
    }
