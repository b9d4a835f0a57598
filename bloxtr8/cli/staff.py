"""`bloxtr8 staff`: roles, given and taken by whoever runs the machines."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import click

from bloxtr8.access.identity import StaffRole
from bloxtr8.config import Settings
from bloxtr8.errors import Bloxtr8Error
from bloxtr8.market import staff as services
from bloxtr8.market import users
from bloxtr8.market.actors import Actor
from bloxtr8.messaging.app import clock_of
from bloxtr8.messaging.envelope import is_uuid
from bloxtr8.store import database
from bloxtr8.store.database import Transaction

_REASON_MIN, _REASON_MAX = 10, 1_000

Work = Callable[[Transaction], Awaitable[Any]]


@click.group()
def staff() -> None:
    """Give and take staff roles. USER is an id of ours or a Discord id."""


@staff.command()
@click.argument("user")
@click.argument("role", type=click.Choice([role.name for role in StaffRole]))
@click.option("--reason", required=True, help="10 to 1,000 characters, for the audit log.")
def grant(user: str, role: str, reason: str) -> None:
    """Give USER the ROLE; they have signed in before."""
    _check(reason)

    async def work(tx: Transaction) -> None:
        user_id, now = await _find(tx, user), _now()
        await services.grant(tx, Actor.system(), user_id, StaffRole[role], reason, now)

    _run(work)
    click.echo(f"{user} is {role}")


@staff.command()
@click.argument("user")
@click.option("--reason", required=True, help="10 to 1,000 characters, for the audit log.")
def revoke(user: str, reason: str) -> None:
    """Take the role of USER away."""
    _check(reason)

    async def work(tx: Transaction) -> None:
        user_id = await _find(tx, user)
        await services.revoke(tx, Actor.system(), user_id, reason, _now())

    _run(work)
    click.echo(f"{user} is no staff any more")


@staff.command("list")
def list_() -> None:
    """Print who is staff."""
    for row in _run(services.members):
        click.echo(f"{row['user_id']}  {row['role']:<9}  {row['display_name']}")


def _now() -> datetime:
    return clock_of(Settings()).now()


def _check(reason: str) -> None:
    if not _REASON_MIN <= len(reason.strip()) <= _REASON_MAX:
        raise click.BadParameter("give 10 to 1,000 characters", param_hint="--reason")


async def _find(tx: Transaction, user: str) -> UUID:
    if is_uuid(user):
        return UUID(user)
    found = await users.user_of(tx, "DISCORD", user)
    if found is None:
        raise click.ClickException(f"nobody with the id {user} has signed in yet")
    return found


def _run(work: Work) -> Any:
    async def connected() -> Any:
        await database.open_database(Settings())
        try:
            return await database.run_in_transaction(work)
        finally:
            await database.close_database()

    try:
        return asyncio.run(connected())
    except Bloxtr8Error as error:
        raise click.ClickException(f"{error.detail} ({error.code})") from None
