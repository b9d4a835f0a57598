"""Paused workers in a row: what each of them wrote late, and what the newest owner built on."""

import pytest

from bloxtr8.store.mirror_fold import Folding, MirrorGap, Place, Stored, effective_events
from proto.bloxtr8.escrow.v1 import events_pb2 as events


def _event(sequence: int, token: int, previous: int = 0) -> events.EscrowEvent:
    return events.EscrowEvent(
        escrow_id="e",
        sequence=sequence,
        fencing_token=token,
        previous_fencing_token=previous,
        escrow_created=events.EscrowCreated(),
    )


def _stored(event: events.EscrowEvent) -> Stored:
    return Stored(event.sequence, event.fencing_token, event.SerializeToString())


def _folding(*known: tuple[int, int, int]) -> Folding:
    """Return an escrow that took events of these sequences, tokens and previous tokens."""
    folding = Folding("e")
    for numbers in known:
        event = _event(*numbers)
        take = folding.append if folding.place(event) is Place.NEXT else folding.supersede
        take(event)
    return folding


def _tokens(folding: Folding) -> list[int]:
    rows = [_stored(row.event) for row in folding.rows]
    return [event.fencing_token for event in effective_events(rows)]


def test_an_event_below_the_latest_token_does_not_replace_what_that_was_built_on() -> None:
    folding = _folding((1, 1, 0), (2, 6, 1), (3, 8, 6))
    assert folding.place(_event(2, 7, 1)) is Place.FENCED


def test_a_newer_owner_replaces_what_an_older_one_said() -> None:
    folding = _folding((1, 1, 0), (2, 6, 1))
    assert folding.place(_event(2, 7, 1)) is Place.SUPERSEDES


def test_the_newest_owner_says_which_of_two_it_built_on() -> None:
    # 7 had replaced 6 when 8, who had recovered from what 6 wrote, went on.
    folding = _folding((1, 1, 0), (2, 6, 1), (2, 7, 1), (3, 8, 6))
    assert _tokens(folding) == [1, 6, 8]
    assert folding.version == 3
    assert folding.steps[-1].replaced


def test_what_an_event_builds_on_must_be_there_and_nothing_is_kept_of_it() -> None:
    folding = _folding((1, 1, 0), (2, 6, 1))
    with pytest.raises(MirrorGap):
        folding.supersede(_event(3, 8, 7))
    assert (folding.version, len(folding.rows)) == (2, 2)


def test_without_that_word_the_newest_that_can_have_been_known_is_meant() -> None:
    rows = [_stored(_event(*numbers)) for numbers in ((1, 1), (2, 6), (2, 9), (3, 8))]
    assert [event.fencing_token for event in effective_events(rows)] == [1, 9]
    assert [event.fencing_token for event in effective_events(rows[:2] + rows[3:])] == [1, 6, 8]
