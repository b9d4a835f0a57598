"""`bloxtr8 demo` and `bloxtr8 dev` as a newcomer starts and stops them."""

import asyncio
import html
import json
import re
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from bloxtr8.dev import process
from bloxtr8.dev.play.api import JSON

ROOT = Path(__file__).resolve().parents[2]
# Against hanging only: a busy machine needs some time for a whole stack.
LINE_SECONDS_MAX = 180

Start = Callable[..., Awaitable[Process]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts `bloxtr8 …`; temporary files go to a directory that the test can look into."""
    started: list[Process] = []

    async def run(*arguments: str) -> Process:
        command = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bloxtr8",
            *arguments,
            cwd=ROOT,
            env={"PATH": "/usr/bin:/bin", "HOME": str(Path.home()), "TMPDIR": str(tmp_path)},
            stdout=PIPE,
            stderr=STDOUT,
        )
        started.append(command)
        return command

    yield run
    for command in started:
        with suppress(ProcessLookupError):
            command.kill()
        await command.wait()


async def _until(command: Process, pattern: str) -> re.Match[str]:
    """Read the command's output until a line matches."""
    assert command.stdout is not None
    seen = []
    async with asyncio.timeout(LINE_SECONDS_MAX):
        while line := (await command.stdout.readline()).decode():
            seen.append(line)
            if found := re.search(pattern, line):
                return found
    raise AssertionError(f"{pattern} was not printed:\n{''.join(seen)}")


async def test_the_demo_proves_itself_to_machines(start: Start, tmp_path: Path) -> None:
    demo = await start("demo", "--json")
    output, _ = await demo.communicate()

    figures = json.loads(output.decode().rstrip("\n").rsplit("\n", 1)[-1])
    assert demo.returncode == 0, output.decode()
    assert figures["trades"] >= 8
    assert figures["balanced"] is True
    assert (figures["lost"], figures["doubled"], figures["dead_letters"]) == (0, 0, 0)
    assert figures["duplicates_dropped"] > 0, "there was a storm of them"
    assert figures["p95_ms"] > 0
    assert _left_behind(tmp_path) == []


async def test_the_demo_ends_at_once_and_leaves_nothing(start: Start, tmp_path: Path) -> None:
    demo = await start("demo")
    worker = await _until(demo, r"worker-1 at http://127\.0\.0\.1:(\d+)")

    demo.send_signal(signal.SIGINT)
    async with asyncio.timeout(LINE_SECONDS_MAX):
        assert await demo.wait() == 130

    assert not process.accepts_connections(int(worker[1]))
    assert _left_behind(tmp_path) == []


async def test_dev_lets_a_newcomer_play_a_trade(start: Start, tmp_path: Path) -> None:
    dev = await start("dev", "--kafka", "embedded", "--port", "0")
    login = (await _until(dev, r"^sign up +(\S+)"))[1]
    buyer = {"Authorization": f"Bearer {(await _until(dev, '^BUYER=(.+)$'))[1].strip()}"}
    seller = {"Authorization": f"Bearer {(await _until(dev, '^SELLER=(.+)$'))[1].strip()}"}
    pay = (await _until(dev, r"curl -X POST (\S+/pay)"))[1]
    deliver = await _until(dev, r'Idempotency-Key: (\S+)".* (\S+/mark-delivered)')
    escrow = deliver[2].removesuffix("/mark-delivered")

    async with aiohttp.ClientSession(raise_for_status=True) as http:
        await _posted(http, pay)
        await _state(http, escrow, buyer, "FUNDS_HELD")
        key = {"Idempotency-Key": deliver[1]}
        await http.post(deliver[2], headers=seller | key, json={"method": "GROUP_TRANSFER"})
        await _state(http, escrow, buyer, "DELIVERED")
    assert (await _signed_in(login, "mira"))["signed_in"] is True

    dev.send_signal(signal.SIGTERM)
    async with asyncio.timeout(LINE_SECONDS_MAX):
        await dev.communicate()
    assert dev.returncode == 0
    assert _left_behind(tmp_path) == []


async def test_dev_does_not_keep_half_of_the_data(start: Start, tmp_path: Path) -> None:
    dev = await start("dev", "--kafka", "embedded", "--keep", str(tmp_path / "kept"))
    output, _ = await dev.communicate()
    assert dev.returncode == 1
    assert b"--keep needs --kafka apache" in output


async def _signed_in(login: str, name: str) -> JSON:
    """Sign in in a browser by picking `name` at the provider; return the session."""
    jar = aiohttp.CookieJar(unsafe=True)  # keeps cookies of addresses without a name
    async with aiohttp.ClientSession(raise_for_status=True, cookie_jar=jar) as browser:
        async with browser.get(login) as page:
            link = re.search(rf'href="([^"]+)"[^>]*>{name}<', await page.text())
            assert link is not None, "the provider asks who one is"
            picked = page.url.join(URL(html.unescape(link[1]), encoded=True))
        async with browser.get(picked) as landed:
            assert landed.url.path == "/docs"
            session = landed.url.origin().with_path("/auth/session")
        async with browser.get(session) as answer:
            found: JSON = await answer.json()
            return found


async def _posted(http: aiohttp.ClientSession, url: str) -> None:
    """Post as soon as the payment is prepared."""
    async with asyncio.timeout(LINE_SECONDS_MAX):
        while True:
            with suppress(aiohttp.ClientResponseError):
                await http.post(url, json={})
                return
            await asyncio.sleep(0.1)


async def _state(
    http: aiohttp.ClientSession, url: str, headers: dict[str, str], wanted: str
) -> None:
    async with asyncio.timeout(LINE_SECONDS_MAX):
        while True:
            async with http.get(url, headers=headers) as answer:
                if (await answer.json())["status"] == wanted:
                    return
            await asyncio.sleep(0.1)


def _left_behind(directory: Path) -> list[Path]:
    return [path for path in directory.iterdir() if path.name.startswith("bloxtr8")]
