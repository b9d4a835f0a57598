"""Text that people or providers give: one form, nothing in it that misleads a reader."""

import re
import unicodedata

# Zero-width characters, fillers and hyphens that nobody sees, lines that do not end with a
# newline, and what turns the direction of text around.
MISLEADING = frozenset(
    "\u200b\u200c\u200d\u2060\ufeff\u180e\u061c\u200e\u200f"
    "\u00ad\u2028\u2029\u2061\u2062\u2063\u2064\u115f\u1160\u3164\uffa0"
    "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    "\u034f\u17b4\u17b5\u206a\u206b\u206c\u206d\u206e\u206f\ufff9\ufffa\ufffb"
)
# Tags and selectors beyond those of pictures: whole messages can be written in them unseen.
_UNSEEN_PLANE = range(0xE0000, 0xE1000)
_UNPRINTABLE = frozenset({"Cc", "Cs"})
_BLANK_LINES = re.compile(r"\n(?:[^\S\n]*\n){2,}")


def clean(text: str) -> str:
    """Return `text` normalised and trimmed; ValueError for characters that mislead a reader.

    Blank lines that follow each other become one: pages of nothing hide what comes after them.
    """
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n")).strip()
    if any(character != "\n" and _misleads(character) for character in text):
        raise ValueError("control characters and invisible ones are not allowed")
    return _BLANK_LINES.sub("\n\n", text)


def tame(text: str, longest: int) -> str:
    """Return what a provider calls something: cleaned, on one line, at most `longest` long."""
    text = unicodedata.normalize("NFC", text)
    kept = (" " if c in "\r\n\t" else c for c in text if c in "\r\n\t" or not _misleads(c))
    return "".join(kept).strip()[:longest].rstrip()


def tame_lines(text: str, longest: int) -> str:
    """Return what a provider tells in several lines: cleaned, at most `longest` long."""
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
    kept = (" " if c == "\t" else c for c in text if c in "\n\t" or not _misleads(c))
    return "".join(kept).strip()[:longest].rstrip()


def _misleads(character: str) -> bool:
    unseen = character in MISLEADING or ord(character) in _UNSEEN_PLANE
    return unseen or unicodedata.category(character) in _UNPRINTABLE
