"""Running the demo: stack, scenes, observation, verification."""

import asyncio
import json
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from bloxtr8.dev import process
from bloxtr8.dev.demo import screen
from bloxtr8.dev.demo.observer import Observer
from bloxtr8.dev.demo.report import Report, provider_differences, record_differences, row_of
from bloxtr8.dev.demo.scenes import SCRIPT, Director, Part, Scene
from bloxtr8.dev.interrupt import INTERRUPTED, run_until_interrupted
from bloxtr8.dev.play.stage import on_stage
from bloxtr8.dev.stack import Stack, StackOptions, running_stack
from bloxtr8.store.verify import verify

_SCENE_SECONDS_MAX = 90.0
_SETTLE_SECONDS_MAX = 20.0
_SETTLE_POLL_SECONDS = 0.3
_QUIET_SECONDS = 0.7
_PLAIN_WIDTH = 130


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """`logs`: where the workers' logs are kept; None: nowhere."""

    kafka: str = "embedded"
    workers: int = 1
    as_json: bool = False
    logs: Path | None = None


def run_demo(options: DemoOptions) -> int:
    """Play the demo and return the exit code: 0 only if everything holds."""
    console = _console()
    try:
        report = run_until_interrupted(_play(options, console))
    except KeyboardInterrupt:
        console.print("stopped")
        return INTERRUPTED
    except process.StartFailed as error:
        console.print(str(error), markup=False)
        return 1
    console.print(screen.summary(report))
    console.print(screen.verdict(report))
    if options.as_json:
        print(json.dumps(report.to_json()), flush=True)  # noqa: T201
    return 0 if report.holds else 1


def _console() -> Console:
    console = Console(highlight=False)
    # Without a terminal there is no width to keep to; in a narrow one the tables wrap.
    return console if console.is_terminal else Console(highlight=False, width=_PLAIN_WIDTH)


async def _play(options: DemoOptions, console: Console) -> Report:
    started = time.monotonic()
    with screen.Screen(console) as show:
        stack_options = StackOptions(options.kafka, options.workers, logs=options.logs)
        async with running_stack(stack_options, show.say) as stack, on_stage(stack) as stage:
            observer = Observer(stack.settings.kafka)
            await observer.start()
            try:
                director = Director(stage, observer, show.tell)
                scenes = await _scenes(director, show)
                show.say("verify")
                differences = await _settled_differences(observer)
                return await _report(options, stack, observer, scenes, differences, started)
            finally:
                await observer.stop()


async def _scenes(director: Director, show: screen.Screen) -> list[Scene]:
    played: list[Scene] = []
    for act in SCRIPT:
        scenes = [Scene(part.name, part.ends, part.disturbs) for part in act]
        for scene in scenes:
            show.add(scene)
        played += scenes
        await asyncio.gather(
            *(_scene(director, part, scene) for part, scene in zip(act, scenes, strict=True))
        )
    return played


async def _scene(director: Director, part: Part, scene: Scene) -> None:
    try:
        async with asyncio.timeout(_SCENE_SECONDS_MAX):
            await part.play(director, scene)
    except Exception as error:
        # One scene that fails must not hide what the others show.
        causes = error.exceptions if isinstance(error, ExceptionGroup) else (error,)
        scene.failure = f"{scene.name}: " + "; ".join(map(repr, causes))
        director.tell(scene, scene.failure)
        return
    assert scene.done, "a scene that returns has brought its trades to their end"
    director.tell(scene, "done")


async def _settled_differences(observer: Observer) -> list[str]:
    """Return what `verify` finds once everything that is under way has arrived."""
    await observer.quiet(_QUIET_SECONDS, timeout_seconds=_SETTLE_SECONDS_MAX)
    until = time.monotonic() + _SETTLE_SECONDS_MAX
    while True:
        report = await verify()
        if report.ok or time.monotonic() > until:
            return list(map(str, report.differences))
        await asyncio.sleep(_SETTLE_POLL_SECONDS)


async def _report(
    options: DemoOptions,
    stack: Stack,
    observer: Observer,
    scenes: list[Scene],
    differences: list[str],
    started: float,
) -> Report:
    signed = [(scene, trade) for scene in scenes for trade in scene.trades if trade.escrow_id]
    trades = [trade for _, trade in signed]
    rows = [row_of(scene, trade, observer, stack.stand_ins) for scene, trade in signed]
    return Report(
        rows=tuple(rows),
        total=observer.figures({trade.escrow_id for trade in trades}),
        failures=tuple(scene.failure for scene in scenes if scene.failure),
        differences=(
            *differences,
            *await record_differences(trades),
            *await provider_differences(trades, rows),
        ),
        dead_letters=tuple(observer.dead_letters),
        duplicates=observer.all_duplicates(),
        kafka=options.kafka,
        seconds=time.monotonic() - started,
    )
