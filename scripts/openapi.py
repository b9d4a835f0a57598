"""Write docs/openapi.json, the API's description, from routes and models."""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from web.application import ROUTES  # noqa: E402
from web.openapi import make_document  # noqa: E402

PATH = ROOT / "docs" / "openapi.json"


def render() -> str:
    """Return the text of the file."""
    return json.dumps(make_document(ROUTES), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PATH.write_text(render(), encoding="utf-8")
