"""Access tokens and the keys behind them."""

import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from joserfc.jwk import ECKey

from bloxtr8 import ids
from bloxtr8.access import AccessTokens, Session, StaffRole, rotation
from bloxtr8.access.tokens import TokenKeys, key_files, write_key
from bloxtr8.cli.main import main
from bloxtr8.clock import ManualClock
from bloxtr8.errors import StepUpRequired, TokenExpired, Unauthenticated

START = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


def session(expires: timedelta = timedelta(days=30), *, mfa: bool = False) -> Session:
    return Session(str(ids.uuid7()), str(ids.uuid7()), START, START + expires, mfa)


def tokens(directory: Path, clock: ManualClock) -> AccessTokens:
    return AccessTokens(TokenKeys.load(directory, create=True), "https://b.example", clock)


def test_a_token_says_who_and_for_how_long(tmp_path: Path, clock: ManualClock) -> None:
    one = session(mfa=True)
    made = tokens(tmp_path, clock).mint(one, StaffRole.ADMIN)
    identity = tokens(tmp_path, clock).verify(made)
    assert (identity.user_id, identity.session_id) == (one.user_id, one.id)
    assert (identity.auth_time, identity.mfa, identity.role) == (START, True, StaffRole.ADMIN)
    clock.advance(timedelta(minutes=9, seconds=59))
    tokens(tmp_path, clock).verify(made)
    clock.advance(timedelta(seconds=1))
    with pytest.raises(TokenExpired):
        tokens(tmp_path, clock).verify(made)


def test_a_token_does_not_outlive_its_session(tmp_path: Path, clock: ManualClock) -> None:
    made = tokens(tmp_path, clock).mint(session(timedelta(minutes=1)))
    clock.advance(timedelta(minutes=1))
    with pytest.raises(TokenExpired):
        tokens(tmp_path, clock).verify(made)


def test_a_token_from_the_future(tmp_path: Path, clock: ManualClock) -> None:
    made = tokens(tmp_path, ManualClock(START + timedelta(seconds=4))).mint(session())
    tokens(tmp_path, clock).verify(made)
    early = tokens(tmp_path, ManualClock(START + timedelta(minutes=1))).mint(session())
    with pytest.raises(Unauthenticated):
        tokens(tmp_path, clock).verify(early)


def test_every_changed_character_is_noticed(tmp_path: Path, clock: ManualClock) -> None:
    made = tokens(tmp_path, clock).mint(session())
    # The last character of each part also holds bits that mean nothing.
    ends = {place - 1 for place, character in enumerate(made + ".") if character == "."}
    for place in range(0, len(made), 7):
        if place in ends or made[place] == ".":
            continue
        changed = made[:place] + ("A" if made[place] != "A" else "B") + made[place + 1 :]
        with pytest.raises(Unauthenticated):
            tokens(tmp_path, clock).verify(changed)


def test_keys_rotate_with_overlap(tmp_path: Path, clock: ManualClock) -> None:
    old = tokens(tmp_path, clock).mint(session())
    pem = ECKey.generate_key("P-256").as_pem(private=True)
    (tmp_path / "tokens-2.pem").write_bytes(pem)
    rotated = tokens(tmp_path, clock)
    new = rotated.mint(session())
    rotated.verify(old)
    rotated.verify(new)
    assert {key["kid"] for key in rotated.keys.jwks()["keys"]} == {"tokens-1", "tokens-2"}
    (tmp_path / "tokens-1.pem").unlink()
    with pytest.raises(Unauthenticated):
        tokens(tmp_path, clock).verify(old)
    tokens(tmp_path, clock).verify(new)


def test_a_running_process_follows_its_directory(tmp_path: Path, clock: ManualClock) -> None:
    seconds = [0.0]
    first = TokenKeys.load(tmp_path, create=True)
    running = TokenKeys([first.signing_key], bytes(32), tmp_path, lambda: seconds[0])
    here = AccessTokens(running, "https://b.example", clock)
    write_key(tmp_path, 2)
    made = tokens(tmp_path, clock).mint(session())
    with pytest.raises(Unauthenticated):
        here.verify(made)
    seconds[0] = 1.0
    here.verify(made)
    (tmp_path / "tokens-1.pem").unlink()
    seconds[0] = 10.0
    assert len(here.keys.jwks()["keys"]) == 2, "looked a moment ago"
    seconds[0] = 11.0
    assert [key["kid"] for key in here.keys.jwks()["keys"]] == ["tokens-2"]
    (tmp_path / "tokens-3.pem").write_text("half of a ke")
    seconds[0] = 30.0
    here.verify(here.mint(session()))
    (tmp_path / "tokens-3.pem").unlink()
    (tmp_path / "tokens-2.pem").unlink()
    seconds[0] = 60.0
    here.verify(made)


def _aged(path: Path, now: datetime, by: timedelta) -> None:
    at = (now - by).timestamp()
    os.utime(path, (at, at))


def test_keys_sign_for_90_days_and_verify_for_one_more(tmp_path: Path) -> None:
    now, day = datetime.now(UTC), timedelta(days=1)
    with pytest.raises(FileNotFoundError):
        rotation.rotate(tmp_path, now)
    write_key(tmp_path, 1)
    _aged(tmp_path / "tokens-1.pem", now, 90 * day - timedelta(minutes=1))
    assert rotation.rotate(tmp_path, now) == []
    _aged(tmp_path / "tokens-1.pem", now, 90 * day)
    assert rotation.rotate(tmp_path, now) == ["made tokens-2.pem"]
    assert rotation.rotate(tmp_path, now) == []
    _aged(tmp_path / "tokens-2.pem", now, day)
    assert rotation.rotate(tmp_path, now) == ["removed tokens-1.pem"]
    assert rotation.rotate(tmp_path, now, at_once=True) == ["made tokens-3.pem"]
    assert [path.name for path in key_files(tmp_path)] == ["tokens-2.pem", "tokens-3.pem"]
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.iterdir())


def test_the_command_rotates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLOXTR8_KEYS__DIRECTORY", str(tmp_path))
    runner = CliRunner()
    missing = runner.invoke(main, ["keys", "rotate"])
    assert (missing.exit_code, "no token key" in missing.output) == (1, True)
    write_key(tmp_path, 9)
    assert runner.invoke(main, ["keys", "rotate"]).output == "nothing is due\n"
    assert runner.invoke(main, ["keys", "rotate", "--now"]).output == "made tokens-10.pem\n"


def test_many_processes_make_one_key(tmp_path: Path) -> None:
    found: list[bytes] = []
    barrier = threading.Barrier(8)

    def start() -> None:
        barrier.wait()
        found.append(TokenKeys.load(tmp_path, create=True).mac("x"))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tokens-1.pem", "web-secret.bin"]
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.iterdir())


def test_missing_keys_are_not_made_in_production(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        TokenKeys.load(tmp_path, create=False)


def test_macs_of_other_parts_differ(tmp_path: Path) -> None:
    keys = TokenKeys.load(tmp_path, create=True)
    assert keys.mac("p", "ab", "c") != keys.mac("p", "a", "bc")
    assert keys.mac("p", "a") != keys.mac("q", "a")


def test_a_sign_in_ages(tmp_path: Path, clock: ManualClock) -> None:
    identity = tokens(tmp_path, clock).verify(tokens(tmp_path, clock).mint(session()))
    identity.require_step_up(START + timedelta(minutes=15))
    with pytest.raises(StepUpRequired):
        identity.require_step_up(START + timedelta(minutes=15, seconds=1))
