"""Faust's table recovery with two holes closed.

What an earlier reading left in the queue is never taken for the beginning of a new one: a record
of a partition that has gone would set where its next recovery starts, and hide all before it.

And its end cannot be missed. The reader of changelogs sets the event that recovery is over and
clears it at once. Whoever starts to wait only then, because there was little to read, would wait
for ever, and the worker with it. Here the event stays set until the next recovery begins.
"""

import asyncio
from typing import Any

from faust.tables import TableManager as FaustTableManager
from faust.tables.recovery import Recovery as FaustRecovery


class _End(asyncio.Event):
    """Set when recovery ends; nobody but a new recovery clears it."""

    def clear(self) -> None:
        """Do nothing: Faust's reader calls this before anybody may have seen it set."""

    def begin(self) -> None:
        super().clear()


class Recovery(FaustRecovery):  # type: ignore[misc]
    """Recovery whose end waits to be seen."""

    _signal_recovery_end: _End | None

    @property
    def signal_recovery_end(self) -> _End:
        if self._signal_recovery_end is None:
            self._signal_recovery_end = _End()
        return self._signal_recovery_end

    async def on_rebalance(self, *args: Any, **kwargs: Any) -> None:
        self.tables.changelog_queue.clear()
        await super().on_rebalance(*args, **kwargs)

    def _set_recovery_started(self) -> None:
        super()._set_recovery_started()
        self.signal_recovery_end.begin()


class TableManager(FaustTableManager):  # type: ignore[misc]
    """A table manager that recovers this way."""

    _recovery: Any

    @property
    def recovery(self) -> Any:
        if self._recovery is None:
            self._recovery = Recovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery
