"""Stopping the process at once: the safe answer when it is not known what was written.

What was not acknowledged comes again to the next process; an orderly shutdown would
acknowledge it. So there is no clean-up here, on purpose.
"""

import os
import sys
from typing import NoReturn

import structlog

from bloxtr8 import telemetry

EXIT_CODE = 70  # EX_SOFTWARE of sysexits.h
_log = structlog.get_logger(__name__)


def stop_process(reason: str, detail: str = "") -> NoReturn:
    """Log and count why, then end the process without running anything else."""
    try:
        telemetry.WATCHDOG_STOPS.labels(reason=reason).inc()
        _log.critical("process_stopped", reason=reason, detail=detail)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(EXIT_CODE)
