"""`dlq`: the messages that could not be handled, and what becomes of them."""

import getpass
from collections import Counter
from typing import Any

import click
from faust.cli import argument, option

from bloxtr8.cli.inspect.command import JSON, ExitCode, Failed, Inspect
from bloxtr8.errors import Unavailable
from bloxtr8.messaging import envelope, letters, metadata
from bloxtr8.messaging.topics import BY_NAME, TOPICS
from bloxtr8.store import dead_letters
from proto.bloxtr8.common.v1.common_pb2 import DeadLetter

_LETTERS_MAX = 10_000


class dlq(Inspect):  # noqa: N801 - the class's name is the command's
    """Dead letters: `list`, `show ID`, `replay ID`, `discard ID --reason WHY`.

    A replay goes through the same checks as any message and repeats its bytes and headers.
    """

    options = (
        argument("action", type=click.Choice(["list", "show", "replay", "discard"])),
        argument("letter_id", required=False),
        option("--topic", type=click.Choice(list(BY_NAME)), help="Only this topic's letters."),
        option("--reason", default="", help="Why; needed to discard."),
        option("--again", is_flag=True, help="Although something was decided before."),
        option("--all", "everything", is_flag=True, help="Also list what was decided."),
        JSON,
    )

    async def work(
        self,
        *,
        action: str,
        letter_id: str | None,
        topic: str | None,
        reason: str,
        again: bool,
        everything: bool,
    ) -> ExitCode:
        found = await self._letters([topic] if topic else [spec.name for spec in TOPICS])
        if action == "list":
            return await self._list(found, everything=everything)
        letter = found.get((letter_id or "").lower())
        if letter is None:
            raise Failed(ExitCode.NOT_FOUND, f"There is no dead letter {letter_id or '(no id)'}.")
        if action == "show":
            return self._show(letter)
        async with self.database():
            if not again:
                await self._refuse_decided(letter)
            if action == "discard":
                return await self._discard(letter, reason)
            return await self._replay(letter, reason)

    async def _letters(self, topics: list[str]) -> dict[str, DeadLetter]:
        """Return the newest letters by id; complain about what is none."""
        async with self.broker() as broker:
            found = await letters.read(broker, topics, self.app.keyring, _LETTERS_MAX)
        for complaint in found.complaints:
            self.complain(complaint)
        return found.letters

    async def _list(self, found: dict[str, DeadLetter], *, everything: bool) -> ExitCode:
        decided = await self._decided()
        shown = [
            (letter, decided.get(letters.place(letter), "OPEN"))
            for letter in sorted(found.values(), key=lambda one: one.failed_at.ToNanoseconds())
        ]
        if not everything:
            shown = [(letter, status) for letter, status in shown if status == "OPEN"]
        if self.as_json:
            self.print_json([{**_summary(letter), "status": status} for letter, status in shown])
            return ExitCode.OK
        columns = ("id", "failed", "topic", "at", "type", "kind", "tries#", "error", "status")
        self.print_table(
            "Dead letters",
            columns,
            (
                (
                    letter.metadata.message_id,
                    metadata.moment(letter.failed_at),
                    letter.topic,
                    f"{letter.partition}:{letter.offset}",
                    letters.headers(letter).get(envelope.TYPE_HEADER, ""),
                    letters.kind(letter),
                    letter.attempts,
                    letter.error[:80],
                    status,
                )
                for letter, status in shown
            ),
        )
        counts = Counter(letter.topic for letter, _ in shown)
        self.console.print(", ".join(f"{name}: {n}" for name, n in counts.items()) or "none")
        return ExitCode.OK

    async def _decided(self) -> dict[dead_letters.Place, str]:
        try:
            async with self.database():
                return await dead_letters.decided()
        except Unavailable:
            self.complain("PostgreSQL does not answer: what was decided is not known.")
            return {}

    def _show(self, letter: DeadLetter) -> ExitCode:
        content = self._content(letter)
        if self.as_json:
            self.print_json({**_summary(letter), "trace": letter.trace, "message": content})
            return ExitCode.OK
        rows = [
            *_summary(letter).items(),
            *(("header", f"{name}={value}") for name, value in letters.headers(letter).items()),
        ]
        self.print_table(f"Dead letter {letter.metadata.message_id}", ("", ""), rows)
        self.console.print_json(data=content)
        if letter.trace:
            self.console.print(letter.trace, markup=False)
        return ExitCode.OK

    def _content(self, letter: DeadLetter) -> dict[str, Any]:
        """Return the message as far as it can be read, whoever signed it."""
        fields, wrong = letters.content(letter, self.app.keyring)
        if fields is not None:
            return fields
        return {"error": wrong, "value_hex": letter.value[:256].hex(), "bytes": len(letter.value)}

    async def _refuse_decided(self, letter: DeadLetter) -> None:
        status = (await dead_letters.decided()).get(letters.place(letter))
        if status is not None:
            raise Failed(
                ExitCode.DIFFERENT, f"The letter was {status.lower()} before; --again does it anew."
            )

    async def _discard(self, letter: DeadLetter, reason: str) -> ExitCode:
        if not reason.strip():
            raise Failed(ExitCode.USAGE, "Say why with --reason; it is kept in the audit log.")
        await self._decide(letter, dead_letters.DISCARDED, reason)
        return ExitCode.OK

    async def _replay(self, letter: DeadLetter, reason: str) -> ExitCode:
        obstacle = letters.obstacle(letter, self.app.keyring)
        if obstacle is not None:
            raise Failed(ExitCode.DIFFERENT, f"It would come back: {obstacle}.")
        publisher = self.app.publisher
        sent = letters.original(letter).headers
        try:
            # First the message: should the row fail, a second replay has no second effect.
            await publisher.publish_raw(letter.topic, letter.key, letter.value, sent)
        finally:
            await publisher.stop()
        await self._decide(letter, dead_letters.REPLAYED, reason)
        return ExitCode.OK

    async def _decide(self, letter: DeadLetter, status: str, reason: str) -> None:
        now = self.app.clock.now()
        await dead_letters.decide(letter, status, reason, getpass.getuser(), now)
        if self.as_json:
            self.print_json({**_summary(letter), "status": status})
        else:
            self.console.print(f"{letter.metadata.message_id}: {status.lower()}")


def _summary(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": letter.metadata.message_id,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "key": letters.key(letter),
        "type": letters.headers(letter).get(envelope.TYPE_HEADER, ""),
        "kind": letters.kind(letter),
        "error": letter.error,
        "attempts": letter.attempts,
        "failed_at": metadata.moment(letter.failed_at),
    }
