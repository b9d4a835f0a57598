"""Write docs/LEDGER.md from the chart of accounts."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bloxtr8.ledger.page import render  # noqa: E402

if __name__ == "__main__":
    (ROOT / "docs" / "LEDGER.md").write_text(render(), encoding="utf-8")
