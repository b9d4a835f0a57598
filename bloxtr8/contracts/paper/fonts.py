"""The typefaces that come with Bloxtr8, and which of them can draw a character.

Licences lie beside the files. Loading takes a third of a second, once in a process.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from reportlab.lib.fonts import addMapping
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from xhtml2pdf import default

FAMILY = "paper"
_FOLDER = Path(__file__).parent / "fonts"
_BOLD = "paper-bold"
# In the order in which they are asked; the first draws everything that it can.
_FILES = {
    FAMILY: "DejaVuSans.ttf",
    "papercjk": "DroidSansFallbackFull.ttf",
    "paperhangul": "NanumSquareR.ttf",
}


@dataclass(frozen=True, slots=True)
class Face:
    """A family and the code points it has."""

    family: str
    covers: frozenset[int]


@cache
def faces() -> tuple[Face, ...]:
    """Make the families known to the renderer and return them."""
    found = []
    for family, file in _FILES.items():
        font = TTFont(family, str(_FOLDER / file))
        pdfmetrics.registerFont(font)
        for bold in (0, 1):
            for italic in (0, 1):
                addMapping(family, bold, italic, family)
        default.DEFAULT_FONT[family] = family
        found.append(Face(family, frozenset(font.face.charToGlyph)))
    pdfmetrics.registerFont(TTFont(_BOLD, str(_FOLDER / "DejaVuSans-Bold.ttf")))
    for italic in (0, 1):
        addMapping(FAMILY, 1, italic, _BOLD)
    return tuple(found)
