"""`bloxtr8 dev`: the stack stays up, with people to play as."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from rich.console import Console

from bloxtr8.access import StaffRole
from bloxtr8.dev import process
from bloxtr8.dev.apache_kafka import missing_tools
from bloxtr8.dev.interrupt import run_until_interrupted
from bloxtr8.dev.play import Stage, Trade, newcomer
from bloxtr8.dev.play.stage import on_stage
from bloxtr8.dev.stack import Stack, StackOptions, running_stack

_FOLLOW_SECONDS = 0.5
_LOG_CHUNK_BYTES_MAX = 64 * 1024
_RESTARTS_MAX = 20


@dataclass(frozen=True, slots=True)
class DevOptions:
    """`kafka` None: Apache where Java and Maven are installed. `keep`: where data stay."""

    kafka: str | None
    workers: int
    port: int
    keep: Path | None


def run_dev(options: DevOptions) -> int:
    """Start the stack, stay until Ctrl-C, stop it; return the exit code."""
    console = Console(highlight=False)
    try:
        run_until_interrupted(_serve(options, console))
    except KeyboardInterrupt:
        console.print("stopped")
    except process.StartFailed as error:
        console.print(str(error), markup=False)
        return 1
    return 0


async def _serve(options: DevOptions, console: Console) -> None:
    kafka = options.kafka or ("embedded" if missing_tools() else "apache")
    if options.keep and kafka == "embedded":
        # Its topics end with the process, and with them the state of every escrow.
        raise process.StartFailed("--keep needs --kafka apache, with Java 17 and Maven.")
    console.print(f"Kafka: {kafka}; `--kafka` chooses.")
    stack_options = StackOptions(
        kafka=kafka,
        workers=options.workers,
        port=options.port,
        directory=options.keep,
        log_json=False,
    )
    async with (
        running_stack(stack_options, console.print) as stack,
        on_stage(stack) as stage,
    ):
        trade = await stage.trade(125_000)
        staff = await stage.staff(StaffRole.ADMIN)
        await trade.sign()
        _people_to_sign_in_as(stage)
        for line in await _introduction(stage, trade, await staff.token()):
            console.print(line, markup=False, soft_wrap=True)
        await _follow(stack, console)


def _people_to_sign_in_as(stage: Stage) -> None:
    newcomer.appear(stage, "Tom", 1)
    owner = newcomer.appear(stage, "Mira", 2)
    newcomer.own_experience(stage, owner, "Skyline City")


async def _introduction(stage: Stage, trade: Trade, staff_token: str) -> list[str]:
    stack = stage.stack
    escrow = f"{stack.url}/api/v1/escrows/{trade.escrow_id}"
    control = stack.stripe.control_url
    return [
        "",
        f"web        {stack.url}   (/docs, /health, /ready, /metrics)",
        f"sign up    {stack.url}/auth/discord/login?return_to=/docs",
        "           (in a browser, as Mira, who owns a game at Roblox, or as Tom)",
        f"sandbox    {control}/state   (the payment provider's stand-in)",
        f"chain      {stack.stand_ins.chain.rpc_url}   (JSON-RPC, with USDC; /sandbox/faucet)",
        f"logs       {stack.logs}",
        "",
        "A trade over 1,250.00 USD waits for its buyer. Tokens last 10 minutes.",
        f"BUYER={await trade.buyer.token()}",
        f"SELLER={await trade.seller.token()}",
        f"STAFF={staff_token}",
        "",
        "# the buyer pays, the seller delivers, the buyer releases the money",
        f"curl -X POST {control}/escrows/{trade.escrow_id}/pay",
        _post(f"{escrow}/mark-delivered", "SELLER", '{"method": "GROUP_TRANSFER"}'),
        _post(f"{escrow}/release", "BUYER", '{"confirm": true}'),
        f'curl -H "Authorization: Bearer $BUYER" {escrow}',
        "",
        "Ctrl-C stops everything.",
        "",
    ]


def _post(url: str, who: str, body: str) -> str:
    return (
        f'curl -X POST -H "Authorization: Bearer ${who}" -H "Idempotency-Key: {uuid4()}"'
        f" -H 'Content-Type: application/json' -d '{body}' {url}"
    )


async def _follow(stack: Stack, console: Console) -> None:
    """Print what the workers log from now on and restart those that end, until cancelled.

    Raises StartFailed when they end again and again.
    """
    restarts = 0
    seen = {worker.log: worker.log.stat().st_size for worker in stack.workers}
    while True:
        for worker in stack.workers:
            with suppress(FileNotFoundError), worker.log.open("rb") as log:
                log.seek(seen[worker.log])
                chunk = log.read(_LOG_CHUNK_BYTES_MAX)
            # Whole lines only: the rest of the last one comes with the next look.
            whole = chunk[: chunk.rfind(b"\n") + 1]
            seen[worker.log] += len(whole)
            for line in whole.decode(errors="replace").splitlines():
                console.print(f"{worker.name} {line}", markup=False, soft_wrap=True)
            if not worker.running:
                restarts += 1
                if restarts > _RESTARTS_MAX:
                    raise process.StartFailed(f"{worker.name} ended\n{process.tail(worker.log)}")
                console.print(f"{worker.name} ended; it is started again", style="bold red")
                worker.start()
        await asyncio.sleep(_FOLLOW_SECONDS)
