"""The providers' stand-ins of the embedded stack, started in this process."""

import asyncio
import secrets
from contextlib import AsyncExitStack
from dataclasses import dataclass

from pydantic import SecretStr

from bloxtr8.clock import Clock
from bloxtr8.config import Settings
from bloxtr8.sandbox.chain import LocalChain, wallets
from bloxtr8.sandbox.custodian import CustodianStandIn
from bloxtr8.sandbox.discord import DiscordStandIn
from bloxtr8.sandbox.discord import server as discord_server
from bloxtr8.sandbox.objects import ObjectStandIn
from bloxtr8.sandbox.roblox import RobloxStandIn
from bloxtr8.sandbox.roblox import server as roblox_server
from bloxtr8.sandbox.screening import ScreeningStandIn
from bloxtr8.sandbox.stripe import StripeStandIn

_BUCKET = "bloxtr8"
_BLOCK_SECONDS = 0.4
_FINALITY_BLOCKS = 3
_WATCH_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class StandIns:
    """Stripe, a chain with USDC, a custodian on it, both screening providers, an S3 store.

    And Discord and Roblox, at which there is nobody at first.
    """

    stripe: StripeStandIn
    chain: LocalChain
    custodian: CustodianStandIn
    screening: ScreeningStandIn
    objects: ObjectStandIn
    discord: DiscordStandIn
    roblox: RobloxStandIn


async def start_stand_ins(settings: Settings, clock: Clock, undo: AsyncExitStack) -> StandIns:
    """Start all of them, with new keys, and write into `settings` where they are."""
    origin = f"http://{settings.web.host}:{settings.web.port}/webhooks"
    stripe = StripeStandIn(
        clock=clock,
        api_key=settings.stripe.api_key.get_secret_value(),
        webhook_url=f"{origin}/stripe",
        webhook_secret=settings.stripe.webhook_secrets[0].get_secret_value(),
    )
    chain = LocalChain(clock=clock, block_seconds=_BLOCK_SECONDS)
    chain.chain.finality_depth = _FINALITY_BLOCKS
    await stripe.start()
    undo.push_async_callback(stripe.stop)
    await chain.start()
    undo.push_async_callback(chain.stop)
    custodian = CustodianStandIn(
        chain.rpc_url,
        clock=clock,
        api_key=secrets.token_hex(16),
        webhook_url=f"{origin}/custodian",
        webhook_secret=secrets.token_hex(16),
    )
    await custodian.start()
    undo.push_async_callback(custodian.stop)
    screening = ScreeningStandIn(
        trm_key=secrets.token_hex(16), chainalysis_key=secrets.token_hex(16)
    )
    await screening.start()
    undo.push_async_callback(screening.stop)
    objects = await asyncio.to_thread(ObjectStandIn)
    await asyncio.to_thread(objects.start)
    undo.callback(objects.stop)
    discord, roblox = DiscordStandIn(clock), RobloxStandIn(clock)
    for stand_in in (discord, roblox):
        await stand_in.start()
        undo.push_async_callback(stand_in.stop)
    made = StandIns(stripe, chain, custodian, screening, objects, discord, roblox)
    _point_at(settings, made)
    _point_at_people(settings, made)
    return made


def _point_at_people(settings: Settings, made: StandIns) -> None:
    settings.discord.base = made.discord.base_url
    settings.discord.client_id = discord_server.CLIENT_ID
    settings.discord.client_secret = SecretStr(discord_server.CLIENT_SECRET)
    settings.discord.bot_token = SecretStr(discord_server.BOT_TOKEN)
    roblox, base = settings.roblox, made.roblox.base_url
    roblox.client_id = roblox_server.CLIENT_ID
    roblox.client_secret = SecretStr(roblox_server.CLIENT_SECRET)
    roblox.api_key = SecretStr(roblox_server.API_KEY)
    roblox.apis_base = roblox.games_base = roblox.groups_base = base
    roblox.users_base = roblox.thumbnails_base = base


def _point_at(settings: Settings, made: StandIns) -> None:
    settings.stripe.api_base = made.stripe.base_url
    base, custodian, screening = settings.base, settings.custodian, settings.screening
    base.rpc_urls = [SecretStr(made.chain.rpc_url)]
    base.chain_id = made.chain.chain.chain_id
    base.usdc_address = wallets.USDC.hex
    base.poll_s = _WATCH_SECONDS
    custodian.api_base = made.custodian.base_url
    custodian.api_key = SecretStr(made.custodian.api_key)
    custodian.webhook_secrets = [SecretStr(made.custodian.webhook_secret)]
    settings.s3 = made.objects.bucket(_BUCKET)
    screening.trm_base = screening.chainalysis_base = made.screening.base_url
    screening.trm_api_key = SecretStr(made.screening.trm_key)
    screening.chainalysis_api_key = SecretStr(made.screening.chainalysis_key)
