"""`provision`: the topics as they should be."""

from faust.cli import option

from bloxtr8.cli.inspect.command import JSON, ExitCode, Failed, Inspect
from bloxtr8.messaging import provision as planning


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
