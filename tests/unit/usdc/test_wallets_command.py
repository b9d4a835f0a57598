"""`bloxtr8 wallets` as an operator types it."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bloxtr8.cli.main import main


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["wallets", *words])


@pytest.fixture
def keystore(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    path = tmp_path / "wallets.json"
    monkeypatch.setenv("BLOXTR8_BASE__KEYSTORE_FILE", str(path))
    monkeypatch.setenv("BLOXTR8_BASE__KEYSTORE_PASSWORD", "canary-password")
    return path


def test_a_keystore_is_made_once_and_shown_by_addresses(keystore: Path) -> None:
    made = run("create")
    assert made.exit_code == 0, made.output
    assert keystore.stat().st_mode & 0o777 == 0o600
    again = run("create")
    assert (again.exit_code, "is there already" in again.output) == (1, True)
    shown = run("show")
    assert shown.output == made.output
    assert shown.output.count("0x") == 2
    assert "canary" not in shown.output


def test_the_wrong_password_opens_nothing(keystore: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("create").exit_code == 0
    monkeypatch.setenv("BLOXTR8_BASE__KEYSTORE_PASSWORD", "canary-other")
    shown = run("show")
    assert shown.exit_code == 1
    assert "canary" not in shown.output


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert "KEYSTORE_FILE" in run("show").output
    monkeypatch.setenv("BLOXTR8_BASE__KEYSTORE_FILE", str(tmp_path / "x"))
    assert "KEYSTORE_PASSWORD" in run("show").output
    monkeypatch.setenv("BLOXTR8_KMS__HOT_KEY", "k")
    assert "SEED_KEY" in run("create").output
