"""People's words on paper: escaped, each character in a typeface that has it."""

import unicodedata
from itertools import groupby

from markupsafe import Markup, escape

from bloxtr8.contracts.paper.fonts import FAMILY, Face, faces

# Nothing to see on paper: what turns or joins neighbours, and what has no form of its own.
_NOT_DRAWN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_RIGHT_TO_LEFT = frozenset({"R", "AL"})
# Picks between two looks of the character before it; there is one look here.
_SELECTORS = range(0xFE00, 0xFE10)


def inline(text: object) -> Markup:
    """Return `text` as one line of markup."""
    return _runs(" ".join(str(text).split()))


def paragraphs(text: str) -> Markup:
    """Return `text` as a paragraph of markup for each of its lines."""
    lines = text.replace("\r\n", "\n").split("\n")
    return Markup("").join(_paragraph(line) for line in lines)


def _paragraph(line: str) -> Markup:
    direction = "rtl" if _is_right_to_left(line) else "ltr"
    # An empty paragraph has no height.
    content = _runs(line) if line.strip() else Markup("&nbsp;")
    return Markup('<p class="said" dir="{}">{}</p>').format(direction, content)


def _runs(text: str) -> Markup:
    known = faces()
    drawn: list[tuple[str, str]] = []
    family = FAMILY
    for character in text:
        if ord(character) in _SELECTORS:
            continue
        shown, found = _shown(character, known, family)
        # Blanks stay in the typeface of their neighbours.
        family = family if character.isspace() else found
        drawn.append((family, shown))
    return Markup("").join(
        _span(family, "".join(shown for _, shown in run))
        for family, run in groupby(drawn, key=lambda pair: pair[0])
    )


def _span(family: str, text: str) -> Markup:
    if family == FAMILY:
        return escape(text)
    return Markup('<span class="{}">{}</span>').format(family, text)


def _shown(character: str, known: tuple[Face, ...], family: str) -> tuple[str, str]:
    """Return what is drawn for a character, and the family that draws it."""
    if character.isspace():
        return " ", family
    if unicodedata.category(character) not in _NOT_DRAWN:
        for face in known:
            if ord(character) in face.covers:
                return character, face.family
    return f"[U+{ord(character):04X}]", FAMILY


def _is_right_to_left(line: str) -> bool:
    """Tell the direction of a line: that of its first letter (UAX #9, P2 and P3)."""
    for character in line:
        kind = unicodedata.bidirectional(character)
        if kind == "L":
            return False
        if kind in _RIGHT_TO_LEFT:
            return True
    return False
