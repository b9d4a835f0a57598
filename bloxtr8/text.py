"""Text that people or providers give: one form, nothing in it that misleads a reader."""

import unicodedata

# Zero-width characters and those that turn the direction of text around.
MISLEADING = frozenset(
    "\u200b\u200c\u200d\u2060\ufeff\u180e\u061c\u200e\u200f"
    "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
_UNPRINTABLE = frozenset({"Cc", "Cs"})


def clean(text: str) -> str:
    """Return `text` normalised and trimmed; ValueError for characters that mislead a reader."""
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n")).strip()
    if any(character != "\n" and _misleads(character) for character in text):
        raise ValueError("control characters and invisible ones are not allowed")
    return text


def tame(text: str, longest: int) -> str:
    """Return what a provider calls something: cleaned, on one line, at most `longest` long."""
    text = unicodedata.normalize("NFC", text)
    kept = (" " if c in "\r\n\t" else c for c in text if c in "\r\n\t" or not _misleads(c))
    return "".join(kept).strip()[:longest].rstrip()


def _misleads(character: str) -> bool:
    return unicodedata.category(character) in _UNPRINTABLE or character in MISLEADING
