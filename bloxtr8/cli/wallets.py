"""`bloxtr8 wallets`: the keys of self-custody, made once and shown by their addresses only."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import click
from eth_utils.address import to_checksum_address

from bloxtr8.config import Settings
from bloxtr8.payments.usdc.kms import create_sealed_seed
from bloxtr8.payments.usdc.wallets import KeystoreError, KeysUnavailable, create_keystore
from bloxtr8.payments.usdc.wiring import keys_of


@click.group()
def wallets() -> None:
    """The keys that BLOXTR8_BASE__CUSTODY=onchain signs with."""


@wallets.command()
def create() -> None:
    """Make the seed that BLOXTR8_BASE__KEYSTORE_FILE names; one that is there stays.

    It is encrypted by KMS where BLOXTR8_KMS__SEED_KEY is set, else by
    BLOXTR8_BASE__KEYSTORE_PASSWORD. Keep a copy: without it the deposits are lost.
    """
    settings = _settings()
    path = Path(settings.base.keystore_file)
    try:
        if settings.kms.hot_key:
            _run(create_sealed_seed(settings.kms, path))
        else:
            create_keystore(path, settings.base.keystore_password.get_secret_value())
    except FileExistsError:
        raise click.ClickException(f"{path} is there already") from None
    except OSError as error:
        raise click.ClickException(f"{path}: {type(error).__name__}") from None
    _show(settings)


@wallets.command()
def show() -> None:
    """Print the addresses of the hot wallet and of the first deposit, which open all keys."""
    _show(_settings())


def _settings() -> Settings:
    settings = Settings()
    if not settings.base.keystore_file:
        raise click.ClickException("BLOXTR8_BASE__KEYSTORE_FILE is not set")
    if not (settings.kms.hot_key or settings.base.keystore_password.get_secret_value()):
        raise click.ClickException(
            "neither BLOXTR8_BASE__KEYSTORE_PASSWORD nor BLOXTR8_KMS__HOT_KEY is set"
        )
    if settings.kms.hot_key and not settings.kms.seed_key:
        raise click.ClickException("BLOXTR8_KMS__SEED_KEY is not set")
    return settings


def _show(settings: Settings) -> None:
    for name, address in _run(_addresses(settings)).items():
        click.echo(f"{name:14} {to_checksum_address(address)}")


async def _addresses(settings: Settings) -> dict[str, str]:
    keys = keys_of(settings)
    try:
        return {"hot wallet": await keys.address(None), "first deposit": await keys.address(0)}
    finally:
        await keys.close()


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    try:
        return asyncio.run(work)
    except (KeystoreError, KeysUnavailable) as error:
        raise click.ClickException(str(error)) from None
