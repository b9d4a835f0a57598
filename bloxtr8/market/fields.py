"""What people may write into listings and offers; web forms and the bot's use the same types."""

import re
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator

from bloxtr8.text import clean

TAGS_MAX = 5
INCLUDED_ASSETS = "The experience with all its places, passes, developer products and badges."
_TAG = re.compile(r"[a-z0-9-]{2,24}")
# What people click on: a scheme, www., or a name with a well-known ending.
_URL = re.compile(
    r"https?:|www\.|\b[\w-]{2,}\.(com|net|org|gg|io|me|co|xyz|ru|app|dev|link|ly)\b", re.IGNORECASE
)


def text_between(shortest: int, longest: int) -> Callable[[str], str]:
    """Return what cleans a text and refuses (ValueError) one of another length."""

    def checked(given: str) -> str:
        cleaned = clean(given)
        if not shortest <= len(cleaned) <= longest:
            raise ValueError(f"give {shortest} to {longest} characters")
        return cleaned

    return checked


def one_line(given: str) -> str:
    """Raises ValueError for a text with line breaks."""
    if "\n" in given:
        raise ValueError("give one line")
    return given


def without_url(given: str) -> str:
    """Raises ValueError for a text that holds an address."""
    if _URL.search(given):
        raise ValueError("addresses are not allowed here")
    return given


def tags_of(given: list[str]) -> list[str]:
    """Return up to five different tags; ValueError for others."""
    if len(given) > TAGS_MAX or len(set(given)) != len(given):
        raise ValueError(f"give up to {TAGS_MAX} different tags")
    if not all(_TAG.fullmatch(tag) for tag in given):
        raise ValueError("a tag has 2 to 24 of a-z, 0-9 and -")
    return given


Title = Annotated[
    str,
    AfterValidator(text_between(3, 100)),
    AfterValidator(one_line),
    AfterValidator(without_url),
]
Summary = Annotated[str, AfterValidator(text_between(10, 1_000))]
IncludedAssets = Annotated[str, AfterValidator(text_between(10, 1_000))]
Tags = Annotated[list[str], AfterValidator(tags_of)]
Conditions = Annotated[str, AfterValidator(text_between(0, 1_000))]
DeclineNote = Annotated[str, AfterValidator(text_between(0, 300))]
ReportText = Annotated[str, AfterValidator(text_between(0, 1_000))]
