"""Write docs/states.md from the table of transitions."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bloxtr8.escrow.page import render  # noqa: E402

if __name__ == "__main__":
    (ROOT / "docs" / "states.md").write_text(render(), encoding="utf-8")
