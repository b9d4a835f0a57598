"""Settings go through the environment and come back the same."""

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from bloxtr8 import environment
from bloxtr8.config import ClockSettings, KafkaSettings, Settings, StripeSettings

ROOT = Path(__file__).resolve().parents[2]


def test_the_example_names_every_setting_as_it_is_now() -> None:
    written = (ROOT / ".env.example").read_text()
    assert written == environment.example(), "run `bloxtr8 env-example > .env.example`"


def test_another_process_reads_the_same_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLOXTR8_WEB__PORT", "1")
    settings = Settings(
        log_json=False,
        kafka=KafkaSettings(bootstrap="127.0.0.1:1,127.0.0.1:2", partitions=4),
        stripe=StripeSettings(
            api_key=SecretStr("sk_test_x"),
            webhook_secrets=[SecretStr("whsec_a"), SecretStr("whsec_b")],
        ),
        clock=ClockSettings(offset_file="/somewhere/clock"),
    )
    variables = environment.to_environment(settings)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert Settings() == settings
    assert variables["BLOXTR8_WEB__PORT"] == "1", "read from the environment at the start"


def test_other_variables_of_ours_are_not_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLOXTR8_OBSOLETE__NAME", "x")
    monkeypatch.setenv("SOMETHING_ELSE", "y")
    variables = environment.to_environment(Settings())
    assert "BLOXTR8_OBSOLETE__NAME" not in variables
    assert variables["SOMETHING_ELSE"] == "y"


def test_the_example_keeps_secrets_empty() -> None:
    assert "BLOXTR8_STRIPE__API_KEY=\n" in environment.example()


@pytest.mark.parametrize(
    ("mode", "role", "allowed"),
    [
        ("sandbox", "all", True),
        ("sandbox", "agents", True),
        ("sandbox", "web", False),
        ("live", "agents", True),
        ("live", "all", False),
        ("live", "web", False),
    ],
)
@pytest.mark.parametrize("name", ["BASE__KEYSTORE_PASSWORD", "KMS__HOT_KEY"])
def test_wallet_keys_stay_away_from_pages(
    monkeypatch: pytest.MonkeyPatch, mode: str, role: str, *, allowed: bool, name: str
) -> None:
    monkeypatch.setenv("BLOXTR8_MODE", mode)
    monkeypatch.setenv("BLOXTR8_ROLE", role)
    monkeypatch.setenv(f"BLOXTR8_{name}", "canary-of-a-key")
    if allowed:
        assert Settings().role == role
        return
    with pytest.raises(ValueError, match="role `agents` only") as refused:
        Settings()
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("name", ["STRIPE__WEBHOOK_SECRETS", "CUSTODIAN__WEBHOOK_SECRETS"])
@pytest.mark.parametrize("secrets", ['["whsec_a", ""]', '["whsec_a", "whsec_b", "whsec_c"]'])
def test_webhook_secrets_that_let_anybody_or_nobody_in_are_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch, name: str, secrets: str
) -> None:
    monkeypatch.setenv(f"BLOXTR8_{name}", secrets)
    with pytest.raises(ValidationError) as refused:
        Settings()
    assert "whsec" not in str(refused.value)


def test_a_list_of_secrets_comes_from_a_file_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "secrets").write_text('["whsec_a", "whsec_b"]\n')
    monkeypatch.setenv("BLOXTR8_STRIPE__WEBHOOK_SECRETS_FILE", str(tmp_path / "secrets"))
    given = [secret.get_secret_value() for secret in Settings().stripe.webhook_secrets]
    assert given == ["whsec_a", "whsec_b"]
