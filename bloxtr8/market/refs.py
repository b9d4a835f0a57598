"""References that people read out: a letter and seven characters that are hard to confuse."""

import re
import secrets
from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar

Kind = Literal["L", "O", "C"]
T = TypeVar("T")

# Crockford's base 32: no I, L, O, U.
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CHARACTERS = 7
_TRIES_MAX = 5
_REF = re.compile(rf"[LOC]-[{ALPHABET}]{{{_CHARACTERS}}}")


def new(kind: Kind) -> str:
    """Return a new reference of 35 random bits; the table's unique index has the last word."""
    return f"{kind}-" + "".join(secrets.choice(ALPHABET) for _ in range(_CHARACTERS))


def normalised(text: str) -> str | None:
    """Return `text` as a reference as we write them, None when it is not one."""
    upper = text.strip().upper()
    return upper if _REF.fullmatch(upper) else None


async def first_free(kind: Kind, insert: Callable[[str], Awaitable[T | None]]) -> T:
    """Return what `insert(ref)` gives for the first reference that is not taken (None)."""
    for _ in range(_TRIES_MAX):
        inserted = await insert(new(kind))
        if inserted is not None:
            return inserted
    raise RuntimeError("no free reference was found; the random source is broken")
