"""Where the local stack keeps what is costly to get: Kafka's jars."""

import os
from pathlib import Path


def cache_directory() -> Path:
    """Return the directory, made when it is not there; deleting it is harmless."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    directory = root / "bloxtr8"
    directory.mkdir(parents=True, exist_ok=True)
    return directory
