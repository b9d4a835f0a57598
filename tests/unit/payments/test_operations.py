"""The life of one operation, as a table."""

from datetime import UTC, datetime, timedelta

import pytest

from bloxtr8.payments import operations
from bloxtr8.payments.operations import Kind, Operation, Status

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def made(kind: Kind = Kind.PAYOUT, **fields: object) -> Operation:
    values: dict[str, object] = {
        "operation_id": "op",
        "escrow_id": "escrow",
        "kind": kind,
        "generation": 1,
        "rail": "STRIPE",
        "provider": "STRIPE",
        "amount_minor": 100,
        "currency": "USD",
        "command_id": "command",
        "requested_at": NOW,
        "not_before": NOW,
    }
    return Operation(**{**values, **fields})  # type: ignore[arg-type]


def test_a_claim_is_sent_with_a_lease_and_remembers_the_first_sending() -> None:
    first = operations.claim(made(), "a", NOW)
    assert (first.status, first.attempts, first.lease_owner) == (Status.SENT, 1, "a")
    assert first.lease_until == NOW + operations.LEASE
    later = NOW + timedelta(hours=2)
    second = operations.claim(operations.doubt(first, "time-out", NOW), "b", later)
    assert (second.attempts, second.sent_at, second.lease_owner) == (2, NOW, "b")


def test_confirming_ends_it_and_gives_the_lease_back() -> None:
    done = operations.confirm(operations.claim(made(), "a", NOW), "tr_1", NOW)
    assert (done.status, done.provider_ref, done.finished_at) == (Status.CONFIRMED, "tr_1", NOW)
    assert (done.lease_owner, done.lease_until, done.last_error) == (None, None, None)
    assert not done.due
    assert not done.under_way


def test_an_instrument_is_confirmed_and_still_asked_about() -> None:
    again_at = NOW + timedelta(hours=1)
    kept = operations.confirm(made(Kind.INTENT), "pi_1", NOW, again_at=again_at)
    assert (kept.status, kept.due, kept.not_before) == (Status.CONFIRMED, True, again_at)
    asked = operations.claim(kept, "a", again_at)
    assert asked.status is Status.CONFIRMED
    doubted = operations.doubt(asked, "time-out", again_at)
    assert doubted.status is Status.CONFIRMED
    assert operations.finish(doubted, NOW, paid="pi_1").result == {"paid": "pi_1"}


@pytest.mark.parametrize(
    ("attempts", "pause_s"), [(1, 1), (2, 2), (3, 4), (8, 128), (9, 256), (10, 300), (99, 300)]
)
def test_doubt_waits_twice_as_long_each_time(attempts: int, pause_s: int) -> None:
    doubted = operations.doubt(made(attempts=attempts), "time-out", NOW)
    assert (doubted.status, doubted.due) == (Status.UNKNOWN, True)
    assert doubted.not_before == NOW + timedelta(seconds=pause_s)


def test_a_failure_says_whether_anything_happened_and_can_be_ordered_again() -> None:
    failed = operations.fail(operations.claim(made(), "a", NOW), "no", NOW, nothing_happened=True)
    assert (failed.status, failed.last_error, failed.due) == (Status.FAILED, "no", False)
    assert failed.result == {"nothing_happened": True}
    again = operations.order_again(failed, 2, NOW + timedelta(minutes=1))
    assert (again.status, again.attempt, again.due) == (Status.REQUESTED, 2, True)
    assert (again.operation_id, again.generation, again.attempts) == ("op", 1, 1)


def test_long_errors_are_cut() -> None:
    assert len(operations.doubt(made(), "x" * 9999, NOW).last_error or "") == 500
    failed = operations.fail(made(), "x" * 9999, NOW, nothing_happened=False)
    assert len(failed.last_error or "") == 500


def test_the_key_may_be_used_again_for_less_than_a_day() -> None:
    assert operations.may_repeat(made(), NOW)
    sent = made(sent_at=NOW)
    assert operations.may_repeat(sent, NOW + timedelta(hours=22, minutes=59))
    assert not operations.may_repeat(sent, NOW + timedelta(hours=23))


def test_what_is_heard_during_a_try_is_not_forgotten_by_its_answer() -> None:
    claimed = operations.claim(made(Kind.INTENT), "a", NOW)
    assert not operations.was_heard(claimed)
    heard = operations.hasten(claimed, NOW)
    assert operations.was_heard(heard)
    assert not operations.was_heard(operations.claim(heard, "a", NOW))


def test_hastening_never_delays() -> None:
    assert operations.hasten(made(), NOW + timedelta(days=1)).not_before == NOW
    late = made(not_before=NOW + timedelta(days=1))
    assert operations.hasten(late, NOW).not_before == NOW


def test_waiting_keeps_the_reference_and_the_doubt_away() -> None:
    waiting = operations.wait(operations.claim(made(), "a", NOW), "re_1", NOW)
    assert (waiting.status, waiting.provider_ref, waiting.due) == (Status.SENT, "re_1", True)
    assert waiting.lease_until is None


@pytest.mark.parametrize("fields", [{"amount_minor": -1}, {"fees_minor": -1}, {"generation": 0}])
def test_impossible_operations_are_not_made(fields: dict[str, object]) -> None:
    with pytest.raises(AssertionError):
        made(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: operations.order_again(made(), 2, NOW),
        lambda: operations.order_again(made(status=Status.FAILED, attempt=2), 2, NOW),
        lambda: operations.claim(made(finished_at=NOW), "a", NOW),
        lambda: operations.finish(made(), NOW),
        lambda: operations.aim(made(), "pi_1"),
    ],
)
def test_steps_that_do_not_exist_are_refused(wrong) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(AssertionError):
        wrong()


def test_while_nobody_was_asked_the_key_stays_fresh() -> None:
    now, operation = NOW, made(Kind.REFUND)
    for _ in range(5):
        operation = operations.claim(operation, "a", now)
        assert operations.never_asked(operation)
        operation = operations.doubt(operation, "a wallet is missing", now, asked=False)
        assert (operation.status, operation.sent_at) == (Status.UNKNOWN, None)
        now += timedelta(days=1)
        assert operations.may_repeat(operation, now)


def test_from_the_first_try_that_asked_the_key_ages() -> None:
    waiting = operations.doubt(operations.claim(made(), "a", NOW), "wallet", NOW, asked=False)
    sent_at = NOW + timedelta(days=2)
    asked = operations.doubt(operations.claim(waiting, "a", sent_at), "time-out", sent_at)
    again = operations.claim(asked, "a", sent_at)
    assert not operations.never_asked(again)
    # Whatever is missing from now on does not undo it.
    missing = operations.doubt(again, "wallet", sent_at, asked=False)
    assert missing.sent_at == sent_at
    assert not operations.may_repeat(missing, sent_at + operations.REPEATABLE)


def test_a_try_that_nobody_came_back_from_may_have_asked() -> None:
    lost = operations.claim(made(), "a", NOW)
    taken_up = operations.claim(lost, "b", NOW + operations.LEASE)
    assert not operations.never_asked(taken_up)
    assert operations.doubt(taken_up, "wallet", NOW, asked=False).sent_at == NOW
