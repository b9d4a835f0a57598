"""Faust's worker without its progress spinner.

The spinner listens to the root logger at DEBUG. Whoever starts a worker at level WARN, Faust's
default, pays for every debug line of every library: an eighth of the time of a recovery.
"""

from typing import Any

import faust


class Worker(faust.Worker):  # type: ignore[misc]
    """Starts the app with the log levels that the settings name."""

    def on_setup_root_logger(self, logger: Any, level: int) -> None:
        self.spinner = None
        super().on_setup_root_logger(logger, level)
