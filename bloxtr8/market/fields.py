"""What people may write into listings and offers; web forms and the bot's use the same types."""

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, GetJsonSchemaHandler, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from bloxtr8.text import clean

TAGS_MAX = 5
INCLUDED_ASSETS = "The experience with all its places, passes, developer products and badges."
_TAG = re.compile(r"[a-z0-9-]{2,24}")
# What people click on: a scheme, www., or a name with a well-known ending.
_URL = re.compile(
    r"https?:|www\.|\b[\w-]{2,}\.(com|net|org|gg|io|me|co|xyz|ru|app|dev|link|ly)\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Text(AfterValidator):
    """A validator of a person's text that also says its bounds where schemas are made."""

    shortest: int = 0
    longest: int = 0

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        found = handler(schema)
        # The format: judged after trimming, and without control or misleading characters.
        found.update(format="text", minLength=self.shortest, maxLength=self.longest)
        return found


def text(shortest: int, longest: int) -> Text:
    """Return what makes a `str` a person's text of `shortest` to `longest` characters."""

    def checked(given: str) -> str:
        # Judged after cleaning: blanks do not make a text long enough.
        cleaned = clean(given)
        if not shortest <= len(cleaned) <= longest:
            raise ValueError(f"give {shortest} to {longest} characters")
        return cleaned

    return Text(checked, shortest, longest)


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
    text(3, 100),
    AfterValidator(one_line),
    AfterValidator(without_url),
]
Summary = Annotated[str, text(10, 1_000)]
IncludedAssets = Annotated[str, text(10, 1_000)]
Tags = Annotated[
    list[str],
    AfterValidator(tags_of),
    WithJsonSchema(
        {
            "type": "array",
            "maxItems": TAGS_MAX,
            "uniqueItems": True,
            "items": {"type": "string", "pattern": f"^{_TAG.pattern}$"},
        }
    ),
]
Conditions = Annotated[str, text(0, 1_000)]
DeclineNote = Annotated[str, text(0, 300)]
ReportText = Annotated[str, text(0, 1_000)]
