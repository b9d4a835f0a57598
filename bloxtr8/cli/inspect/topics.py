"""`topics` and `tail`: what is on the broker."""

import json
from datetime import UTC, datetime
from typing import Any

import click
from faust.cli import argument, option
from rich.text import Text

from bloxtr8.cli.inspect.command import JSON, ExitCode, Inspect, cell
from bloxtr8.messaging import decoding
from bloxtr8.messaging.inspection import Record, Start
from bloxtr8.messaging.topics import BY_NAME, TABLES, changelog_name

_COLOURS = {
    "escrow.commands.v1": "cyan",
    "escrow.events.v1": "green",
    "payments.commands.v1": "yellow",
    "payments.events.v1": "magenta",
}


class topics(Inspect):  # noqa: N801 - the class's name is the command's
    """Partitions, replicas, retention, offsets and this group's lag of every topic."""

    options = (JSON, option("--all", "everything", is_flag=True, help="Also foreign topics."))

    async def work(self, *, everything: bool) -> ExitCode:
        async with self.broker() as broker:
            names = await broker.topic_names() if everything else self._ours()
            found = await broker.topics(names)
        if self.as_json:
            self.print_json(
                [
                    {
                        "topic": topic.name,
                        "partitions": topic.partitions,
                        "replicas": topic.replicas,
                        "retention_s": topic.retention,
                        "policy": topic.policy,
                        "first_offset": topic.first_offset,
                        "end_offset": topic.end_offset,
                        "records": topic.records,
                        "lag": topic.lag,
                    }
                    for topic in found
                ]
            )
            return ExitCode.OK
        self.print_table(
            f"Topics, lag of group {self.app.settings.kafka.app_id}",
            (
                "topic",
                "partitions#",
                "replicas#",
                "retention",
                "policy",
                "end#",
                "records#",
                "lag#",
            ),
            (
                (
                    topic.name,
                    topic.partitions,
                    topic.replicas,
                    topic.retention,
                    topic.policy,
                    topic.end_offset,
                    topic.records,
                    topic.lag,
                )
                for topic in found
            ),
        )
        return ExitCode.OK

    def _ours(self) -> list[str]:
        app_id = self.app.settings.kafka.app_id
        names = [name for spec in BY_NAME.values() for name in (spec.name, spec.dlq)]
        return names + [changelog_name(app_id, table) for table in TABLES]


class _From(click.ParamType):
    """`earliest`, `-N` (the last N of each partition) or a time in ISO 8601."""

    name = "start"

    def convert(self, value: Any, param: Any, ctx: Any) -> Start:
        text = str(value)
        if text == "earliest":
            return Start()
        if text.startswith("-") and text[1:].isdigit():
            return Start(last=int(text[1:]))
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            self.fail(f"{value!r} is not earliest, -N or a time", param, ctx)
        return Start(since=moment if moment.tzinfo else moment.replace(tzinfo=UTC))


class tail(Inspect):  # noqa: N801
    """Decoded messages of a topic, with trace and cause."""

    options = (
        argument("topic"),
        option("--key", help="Only messages with this key."),
        option("--from", "start", type=_From(), default="-10", show_default=True),
        option("--follow", is_flag=True, help="Stay and print what arrives."),
        JSON,
    )

    async def work(self, *, topic: str, key: str | None, start: Start, follow: bool) -> ExitCode:
        async with self.broker() as broker:
            read = broker.follow if follow else broker.records
            async for record in read(topic, start, key=key.encode() if key else None):
                self._print(record)
        return ExitCode.OK

    def _print(self, record: Record) -> None:
        message, wrong = decoding.decode(record, self.app.keyring)
        content = {} if message is None else decoding.to_dict(message)
        if self.as_json:
            self.print_json(
                {
                    "topic": record.topic,
                    "partition": record.partition,
                    "offset": record.offset,
                    "at": record.at,
                    "key": record.key.decode(errors="replace"),
                    "type": None if message is None else decoding.body_name(message),
                    "error": wrong or None,
                    "message": content,
                }
            )
            self.stdout.flush()
            return
        self.console.print(self._line(record, message, wrong, content), soft_wrap=True)

    def _line(self, record: Record, message: Any, wrong: str, content: dict[str, Any]) -> Text:
        size = 0 if record.value is None else len(record.value)
        name = "?" if message is None else decoding.body_name(message)
        about = content.pop("metadata", {})
        line = Text.assemble(
            (cell(record.at), "dim"),
            f" {record.partition}:{record.offset} ",
            (
                name if not wrong else "BAD",
                _COLOURS.get(record.topic, "bold") if not wrong else "red",
            ),
            f" {record.key.decode(errors='replace')} ",
            wrong or (json.dumps(content) if message is not None else f"{size} bytes"),
        )
        for field in ("message_id", "causation_id", "traceparent"):
            if field in about:
                line.append(f" {field.removesuffix('_id')}={about[field]}", "dim")
        return line
