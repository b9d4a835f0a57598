"""Nothing secret and nothing personal reaches the logs."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from bloxtr8 import telemetry
from bloxtr8.config import Settings

CANARIES = {
    "jwt": "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlLWNhbmFyeQ",
    "stripe_key": "sk_live_c4n4ry51H8",
    "client_secret": "pi_3c4n4ry_secret_x7Yz",
    "webhook_secret": "whsec_c4n4ryAAAA",
    "api_key": "bx_live_c4n4ry-key-43",
    "refresh": "brt_c4n4ry-refresh-43",
    "email": "c4n4ry.person@mail.example",
    "dsn": "postgresql://user:c4n4rypass@db:5432/x",
    "bearer": "Bearer c4n4ry-opaque-token",
    "pem": "-----BEGIN PRIVATE KEY-----\nMIGHc4n4ry\n-----END PRIVATE KEY-----",
}
_PARTS = ("c4n4ry", "c2lnbmF0dXJlLWNhbmFyeQ")


@pytest.fixture
def written() -> "Iterator[Written]":
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    result = Written()
    telemetry.configure_logging(Settings(log_level="DEBUG"), result.stream)
    yield result
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


class Written:
    def __init__(self) -> None:
        self.stream = io.StringIO()

    @property
    def lines(self) -> list[dict[str, object]]:
        """What the test itself has logged: others may say something at any time."""
        lines = [json.loads(line) for line in self.stream.getvalue().splitlines()]
        return [line for line in lines if line["logger"] in ("test", "standard")]


def _assert_clean(text: str) -> None:
    for part in _PARTS:
        assert part not in text, text


@pytest.mark.parametrize("name", CANARIES)
def test_a_canary_in_the_text_a_value_a_container_and_an_exception(
    written: Written, name: str
) -> None:
    canary = CANARIES[name]
    log = telemetry.get_logger("test")
    log.info(f"saw {canary} here")
    log.info("saw", found=f"it was {canary}.", deeper={"list": [{"value": canary}], "n": 1})
    logging.getLogger("standard").warning("standard %s", canary)
    try:
        raise ValueError(f"failed with {canary}")
    except ValueError:
        log.exception("raised")
    assert len(written.lines) == 4
    _assert_clean(written.stream.getvalue())


@pytest.mark.parametrize(
    "key",
    [
        "client_secret",
        "Authorization",
        "cookie",
        "password",
        "api_key",
        "access_token",
        "email",
        "dsn",
        "ip",
        "user_agent",
        "statement",
        "csrf_token",
    ],
)
def test_values_under_telling_names_are_dropped(written: Written, key: str) -> None:
    telemetry.get_logger("test").info("saw", **{key: "c4n4ry"}, inner={key: ["c4n4ry"]})
    _assert_clean(written.stream.getvalue())
    assert written.lines[0][key] == telemetry.REDACTED


def test_what_operators_need_stays(written: Written) -> None:
    telemetry.get_logger("test").info(
        "moved", escrow_id="0199d7a2-6c1e-7d53-9c0b-2f1f0c9b7e11", fencing_token=7, seconds=0.25
    )
    (line,) = written.lines
    assert line["escrow_id"] == "0199d7a2-6c1e-7d53-9c0b-2f1f0c9b7e11"
    assert (line["fencing_token"], line["seconds"], line["level"]) == (7, 0.25, "info")


def test_redaction_is_bounded() -> None:
    deep: dict[str, object] = {}
    innermost = deep
    for _ in range(50):
        innermost["next"] = innermost = {}
    telemetry.redact(deep)
    assert len(telemetry.redact(["x"] * 10_000)) <= 200
    assert len(telemetry.redact("x" * 100_000)) <= 8_000
    assert telemetry.redact(b"raw") == "[3 bytes]"


def test_metrics_have_bounded_labels_and_one_prefix() -> None:
    forbidden = {"id", "escrow_id", "user_id", "path", "ip"}
    for family in telemetry.REGISTRY.collect():
        if family.name.startswith(("process_", "python_")):
            continue
        assert family.name.startswith("bloxtr8_"), family.name
        for sample in family.samples:
            assert not forbidden & set(sample.labels)
