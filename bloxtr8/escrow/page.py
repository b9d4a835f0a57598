"""docs/states.md, written from the table of transitions."""

from bloxtr8.escrow import deadlines, states
from bloxtr8.escrow.transitions import ROWS, Role, Row

MEANINGS = {
    states.AWAIT_FUNDS: "created; the payment instrument is issued or being issued",
    states.FUNDS_REVIEW: "money arrived and is not cleared yet",
    states.FUNDS_HELD: "the provider confirmed what was due, screening passed",
    states.DELIVERED: "the seller says the game was handed over",
    states.DISPUTED: "frozen; staff or the parties decide",
    states.CANCELLING: "cancelled; the payment instrument is being called off",
    states.RELEASING: "payout ordered, waiting for the provider",
    states.REFUNDING: "refund ordered, waiting for the provider",
    states.SPLITTING: "both legs of a split ordered",
    states.RELEASED: "the seller was paid",
    states.REFUNDED: "the buyer was repaid",
    states.SPLIT: "both were paid their share",
    states.CANCELLED: "ended before money counted",
}
_HEAD = """# States of an escrow

Written by `scripts/states.py` from `bloxtr8/escrow/transitions.py`; a test compares the two.
"""
_TABLE = """
## Transitions

Who: a side of the trade, a role of staff, or SYSTEM (a signed system producer). \\* above
10,000 USD a second member of staff must approve. † refused while a hold is set. An empty "to"
means that the state stays; where "to" is given, waiting for more may keep it as well. What is
not listed is refused (commands) or ignored (payment facts).

| # | from | cause | by | to | events | orders | |
|---|---|---|---|---|---|---|---|
"""
_CLOCKS = (
    ("FUNDING", states.AWAIT_FUNDS, f"{deadlines.FUNDING_SECONDS // 3600} h"),
    (
        "DELIVERY",
        states.FUNDS_HELD,
        f"{deadlines.DELIVERY_DAYS_MIN}–{deadlines.DELIVERY_DAYS_MAX} days, as agreed",
    ),
    (
        "CONFIRMATION",
        states.DELIVERED,
        f"{deadlines.CONFIRMATION_SECONDS // deadlines.DAY_SECONDS} days",
    ),
    ("DISPUTE", states.DISPUTED, f"{deadlines.DISPUTE_SECONDS // deadlines.DAY_SECONDS} days"),
)


def render() -> str:
    """Return the page as Markdown."""
    parts = [_HEAD, _states(), _diagram(), _clocks(), _TABLE]
    return "".join(parts) + "\n".join(_row(row) for row in ROWS) + "\n"


def _states() -> str:
    lines = ["\n| state | meaning | end |\n|---|---|---|"]
    for state in states.ALL:
        end = "yes" if state in states.TERMINAL else ""
        lines.append(f"| {states.name(state)} | {MEANINGS[state]} | {end} |")
    return "\n".join(lines) + "\n"


def _diagram() -> str:
    edges: dict[tuple[str, str], list[str]] = {}
    for row in ROWS:
        for source in row.sources or (states.NONE,):
            start = states.name(source) if source else "[*]"
            for target in row.to:
                if target != source:
                    edges.setdefault((start, states.name(target)), []).append(row.cause)
    lines = ["\n```mermaid\nstateDiagram-v2"]
    for (start, end_name), causes in edges.items():
        lines.append(f"    {start} --> {end_name}: {', '.join(dict.fromkeys(causes))}")
    lines += [f"    {states.name(end)} --> [*]" for end in states.ALL if end in states.TERMINAL]
    return "\n".join([*lines, "```\n"])


def _clocks() -> str:
    lines = ["\n## Deadlines\n\n| kind | runs in | length |\n|---|---|---|"]
    lines += [f"| {kind} | {states.name(state)} | {length} |" for kind, state, length in _CLOCKS]
    hours = deadlines.SETTLEMENT_SECONDS // deadlines.HOUR_SECONDS
    lines.append(f"\nA hold stops them. A settlement proposal lapses after {hours} h.")
    return "\n".join(lines) + "\n"


def _row(row: Row) -> str:
    cause = row.cause + (" †" if row.blocked_by_hold else "")
    by = ", ".join(role + _star(row, role) for role in Role if role in row.by)
    cells = (
        row.number,
        _sources(row),
        cause,
        by,
        ", ".join(map(states.name, row.to)),
        ", ".join(row.events),
        ", ".join(row.orders),
        row.note,
    )
    return "| " + " | ".join(cells) + " |"


def _star(row: Row, role: Role) -> str:
    staff = role in (Role.SUPPORT, Role.MODERATOR, Role.ADMIN)
    return "\\*" if row.second_approval and staff else ""


def _sources(row: Row) -> str:
    if not row.sources:
        return "–"
    if row.sources == states.ALL:
        return "any"
    if row.sources == states.OPEN:
        return "any that is not an end"
    return ", ".join(map(states.name, row.sources))
