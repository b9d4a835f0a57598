"""The rules as a whole: pure, described by one table, and true to their page."""

import ast
import sys
from pathlib import Path

import pytest

from bloxtr8.escrow import evolve, lookup, states
from bloxtr8.escrow.appliers import APPLIERS
from bloxtr8.escrow.change import SCHEMA_VERSION
from bloxtr8.escrow.page import render
from bloxtr8.escrow.transitions import ROWS
from bloxtr8.messaging import envelope
from proto.bloxtr8.escrow.v1 import record_pb2 as records
from tests.unit.escrow.paths import PATHS, created, released

ROOT = Path(__file__).resolve().parents[3]
ALLOWED = ("bloxtr8.escrow", "bloxtr8.ids", "bloxtr8.money", "proto.", "google.protobuf")


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            module = node.module or ""
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize(
    "path", sorted((ROOT / "bloxtr8/escrow").glob("*.py")), ids=lambda p: p.name
)
def test_the_rules_know_nothing_of_the_world(path: Path) -> None:
    for name in imports(path):
        own = name.startswith(ALLOWED)
        assert own or name.split(".")[0] in sys.stdlib_module_names, name
        assert name.split(".")[0] not in {"time", "random", "os", "secrets", "asyncio"}, name


def test_the_page_of_states_is_current() -> None:
    page = (ROOT / "docs/states.md").read_text(encoding="utf-8")
    assert page == render(), "run scripts/states.py"


def test_the_table_speaks_of_messages_that_exist() -> None:
    causes = set(lookup.COMMANDS.values()) | set(lookup.FACTS.values())
    for row in ROWS:
        assert row.cause in causes
        assert set(row.events) <= set(lookup.EVENTS.values())
    assert len({row.number for row in ROWS}) == len(ROWS)


def test_only_facts_without_consequences_are_not_in_the_table() -> None:
    listed = {row.cause for row in ROWS}
    names = set(lookup.COMMANDS.values()) | set(lookup.FACTS.values())
    assert names - listed == {"TransferReversed", "DiscrepancyFound", "ArchiveEscrow"}


def test_no_row_leads_out_of_an_end() -> None:
    for row in ROWS:
        if states.TERMINAL.intersection(row.sources):
            assert not row.to or not states.TERMINAL.issuperset(row.sources)
            assert not row.to, f"row {row.number}"


def test_every_event_is_folded() -> None:
    plain = {"escrow_dispute_resolved", "escrow_command_rejected"}
    assert set(lookup.EVENTS) == set(APPLIERS) | plain


def test_every_state_has_a_path() -> None:
    assert list(PATHS) == [states.name(state) for state in states.ALL]
    for name, path in PATHS.items():
        assert path().state == name


def test_folding_is_strict_about_order() -> None:
    trade = created()
    with pytest.raises(ValueError, match="does not follow"):
        evolve(trade.escrow, trade.events[0])
    with pytest.raises(ValueError, match="does not follow"):
        evolve(None, trade.events[1])
    other = type(trade.events[0])()
    other.CopyFrom(trade.events[-1])
    other.sequence = trade.escrow.sequence + 1
    other.escrow_id = "another"
    with pytest.raises(ValueError, match="is none of"):
        evolve(trade.escrow, other)


def test_folding_leaves_its_input_alone_and_gives_the_record() -> None:
    trade = released()
    folded: records.Escrow | None = None
    for event in trade.events:
        before = records.Escrow()
        before.CopyFrom(folded or records.Escrow())
        after = evolve(folded, event)
        assert (folded or records.Escrow()) == before
        folded = after
    assert folded == trade.escrow


def test_messages_have_the_version_of_the_envelope() -> None:
    assert SCHEMA_VERSION == envelope.SCHEMA_VERSION
