"""The released wordings of contracts: files that never change again. Light: nothing is drawn."""

import hashlib
from pathlib import Path

from bloxtr8.contracts.paper.sheet import RELEASED

FOLDER = Path(__file__).parent / "templates"


class TemplateChanged(Exception):
    """A released wording is not what was released."""


def source_sha256(version: str) -> str:
    """Return the SHA-256 of a wording as it is here."""
    return hashlib.sha256((FOLDER / f"{version}.html").read_bytes()).hexdigest()


def check_released() -> None:
    """Raises TemplateChanged when a released wording was edited."""
    for version, released in RELEASED.items():
        if source_sha256(version) != released:
            raise TemplateChanged(version)
