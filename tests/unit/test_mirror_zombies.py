"""Two paused workers in a row: what the first and the second wrote late."""

from bloxtr8.store.mirror_fold import Folding, Place
from proto.bloxtr8.escrow.v1 import events_pb2 as events


def _event(sequence: int, token: int) -> events.EscrowEvent:
    return events.EscrowEvent(
        escrow_id="e",
        sequence=sequence,
        fencing_token=token,
        escrow_created=events.EscrowCreated(),
    )


def _folding(*known: tuple[int, int]) -> Folding:
    """Return an escrow whose events so far have these sequences and tokens."""
    folding = Folding("e")
    for sequence, token in known:
        folding.append(_event(sequence, token))
    return folding


def test_an_event_below_the_latest_token_does_not_replace_what_that_was_built_on() -> None:
    folding = _folding((1, 1), (2, 6), (3, 8))
    assert folding.place(_event(2, 7)) is Place.FENCED


def test_a_newer_owner_replaces_what_an_older_one_said() -> None:
    folding = _folding((1, 1), (2, 6))
    assert folding.place(_event(2, 7)) is Place.SUPERSEDES
