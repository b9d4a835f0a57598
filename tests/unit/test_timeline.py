"""Putting what happened in order when clocks disagree."""

from datetime import UTC, datetime, timedelta

from bloxtr8.cli.inspect.timeline import Entry, causal

_START = datetime(2030, 1, 1, tzinfo=UTC)


def _entry(name: str, seconds: int, cause: str = "", kind: str = "event") -> Entry:
    return Entry(_START + timedelta(seconds=seconds), kind, name, name, cause)


def test_time_orders_what_is_unrelated() -> None:
    entries = [_entry("b", 2), _entry("a", 1), _entry("c", 3)]
    assert [entry.id for entry in causal(entries)] == ["a", "b", "c"]


def test_an_effect_never_stands_before_its_cause() -> None:
    late_cause = _entry("cause", 10)
    entries = [_entry("effect", 1, "cause"), _entry("next", 2, "effect"), late_cause]
    assert [entry.id for entry in causal(entries)] == ["cause", "effect", "next"]


def test_what_two_places_know_stands_once() -> None:
    assert len(causal([_entry("a", 1), _entry("a", 1)])) == 1


def test_a_cause_that_nobody_kept_does_not_hide_its_effect() -> None:
    assert [entry.id for entry in causal([_entry("effect", 1, "gone")])] == ["effect"]


def test_a_circle_is_shown() -> None:
    circle = [_entry("a", 1, "b"), _entry("b", 2, "a")]
    assert [entry.id for entry in causal(circle)] == ["a", "b"]
