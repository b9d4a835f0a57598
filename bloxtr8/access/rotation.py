"""Changing the keys of access tokens: a new one every 90 days, the old one a day longer.

A key's age is that of its file. Running processes notice what changes (`TokenKeys`).
"""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from bloxtr8.access.tokens import key_files, key_number, write_key

SIGNS_FOR = timedelta(days=90)
VERIFIES_AFTER = timedelta(hours=24)


def rotate(directory: Path, now: datetime, *, at_once: bool = False) -> list[str]:
    """Do what is due to the token keys in `directory`; return what was done, in words.

    `now` is the machine's time. `at_once`: a new key also before the 90 days are over. Raises
    FileNotFoundError when there is no key yet.
    """
    files = key_files(directory)
    if not files:
        raise FileNotFoundError(f"no token key in {directory}")
    done = []
    if at_once or now - _made_at(files[-1]) >= SIGNS_FOR:
        made = write_key(directory, key_number(files[-1]) + 1)
        done.append(f"made {made.name}")
        files = key_files(directory)
    for old, successor in pairwise(files):
        # Every token that it signed has ended long before.
        if now - _made_at(successor) >= VERIFIES_AFTER:
            old.unlink(missing_ok=True)
            done.append(f"removed {old.name}")
    return done


def _made_at(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)
