"""`provision` and `verify`: the topics and the escrows as they should be."""

from faust.cli import argument, option

from bloxtr8.cli.inspect.command import JSON, ExitCode, Failed, Inspect, Uuid
from bloxtr8.cli.inspect.table import table_records
from bloxtr8.messaging import provision as planning
from bloxtr8.store.verify import Report
from bloxtr8.store.verify import verify as compare


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
        async with self.broker() as broker:
            app_id = self.app.settings.kafka.app_id
            records = await table_records(broker, app_id, escrow_id)
        async with self.database():
            report = await compare(escrow_id, records)
        if self.as_json:
            self.print_json(_summary(report, len(records)))
        else:
            self._print(report, len(records))
        return ExitCode.OK if report.ok else ExitCode.DIFFERENT

    def _print(self, report: Report, records: int) -> None:
        self.print_table(
            f"{report.escrows} escrows, {report.events} events, {records} records",
            ("what", "of", "expected", "actual"),
            ((d.what, d.subject, d.expected, d.actual) for d in report.differences),
        )
        self.console.print("All agree." if report.ok else f"{len(report.differences)} differences.")


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
