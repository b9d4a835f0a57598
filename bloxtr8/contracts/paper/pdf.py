"""Markup to PDF: the same bytes for the same markup, and nothing fetched from anywhere."""

import io
import logging

from reportlab import rl_config
from xhtml2pdf import pisa
from xhtml2pdf.config.resources import RenderLimitError, ResourceAccessPolicy

from bloxtr8.contracts.paper import document
from bloxtr8.contracts.paper.fonts import faces
from bloxtr8.contracts.paper.sheet import BYTES_MAX, NotDrawn, Sheet

# The longest texts that are taken need four seconds of a processor that a busy machine shares out.
_SECONDS_MAX = 30.0
# Neither files nor addresses; the only picture is part of the document.
_NOTHING = ResourceAccessPolicy(
    allow_remote=False, base_dir=None, max_render_seconds=_SECONDS_MAX, max_image_pixels=1_000_000
)


def draw(sheet: Sheet) -> bytes:
    """Return the PDF of a contract; raises NotDrawn. Takes a tenth of a second and blocks."""
    faces()
    # No times and no random ids in the file.
    rl_config.invariant = 1
    # Its warnings quote the document, which has names in it.
    logging.getLogger("xhtml2pdf").setLevel(logging.CRITICAL)
    out = io.BytesIO()
    try:
        result = pisa.CreatePDF(
            document.markup(sheet), dest=out, encoding="utf-8", resource_policy=_NOTHING
        )
    except RenderLimitError as error:
        raise NotDrawn(str(error)) from error
    found = out.getvalue()
    if result.err or not found.startswith(b"%PDF-") or len(found) > BYTES_MAX:
        raise NotDrawn(f"{result.err} errors, {len(found)} bytes")
    return found
