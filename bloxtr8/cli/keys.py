"""`bloxtr8 keys`: the keys that sign access tokens."""

from datetime import UTC, datetime

import click

from bloxtr8.access.rotation import rotate as rotate_keys
from bloxtr8.config import Settings


@click.group()
def keys() -> None:
    """Keys of access tokens, in BLOXTR8_KEYS__DIRECTORY."""


@keys.command()
@click.option("--now", "at_once", is_flag=True, help="Also before the newest is 90 days old.")
def rotate(at_once: bool) -> None:
    """Make a new key when the newest is 90 days old; remove those replaced 24 hours ago.

    For a daily job; running processes take over what has changed within seconds.
    """
    try:
        done = rotate_keys(Settings().keys.directory, datetime.now(UTC), at_once=at_once)
    except FileNotFoundError as error:
        raise click.ClickException(str(error)) from None
    for line in done or ["nothing is due"]:
        click.echo(line)
