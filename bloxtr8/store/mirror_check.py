"""After a recovery: does the mirror know more of an escrow than the stream's own record?"""

from collections.abc import Callable, Mapping

from bloxtr8.store.database import fetch

_PAGE = 10_000
_TERMINAL = ("RELEASED", "REFUNDED", "SPLIT", "CANCELLED")
_PAGE_SQL = """
SELECT id::text AS id, version FROM escrows
WHERE id > $1::uuid AND state <> ALL($2::text[])
ORDER BY id LIMIT $3
"""


async def escrows_behind(sequences: Mapping[str, int], mine: Callable[[str], bool]) -> list[str]:
    """Return the unfinished escrows for which `mine` holds whose record is older than the mirror.

    `sequences`: escrow_id → sequence of the recovered record; one that is missing counts as 0.
    Raises DatabaseUnavailable.
    """
    behind: list[str] = []
    after = "00000000-0000-0000-0000-000000000000"
    while True:
        rows = await fetch(_PAGE_SQL, after, list(_TERMINAL), _PAGE)
        behind += [
            row["id"]
            for row in rows
            if row["version"] > sequences.get(row["id"], 0) and mine(row["id"])
        ]
        if len(rows) < _PAGE:
            return behind
        after = rows[-1]["id"]
