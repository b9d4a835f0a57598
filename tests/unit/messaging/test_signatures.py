"""Who may say what: a signature fits one topic, one key, one value and one trusted producer."""

import json
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from bloxtr8.messaging import envelope
from bloxtr8.messaging.signatures import (
    KEY_ID_HEADER,
    SIGNATURE_HEADER,
    Keyring,
    SignatureInvalid,
    Signer,
    TrustedKey,
    signed_bytes,
)
from bloxtr8.messaging.topics import ESCROW_COMMANDS, PAYMENTS_COMMANDS, PAYMENTS_EVENTS
from proto.bloxtr8.common.v1 import common_pb2 as common
from tests.unit.messaging.samples import release

RING = Keyring.generate()


def signed(producer: int = common.PRODUCER_WEB) -> envelope.Wire:
    message = release(producer=producer)  # type: ignore[arg-type]
    return envelope.encode(ESCROW_COMMANDS, message, RING.signer(producer))


def refused(wire: envelope.Wire, ring: Keyring = RING) -> str:
    with pytest.raises(SignatureInvalid) as caught:
        envelope.decode(ESCROW_COMMANDS, wire.key, wire.value, wire.headers, ring)
    return str(caught.value)


def test_a_signed_message_comes_back_as_it_was() -> None:
    message = release()
    wire = envelope.encode(ESCROW_COMMANDS, message, RING.signer(common.PRODUCER_WEB))
    assert envelope.decode(ESCROW_COMMANDS, wire.key, wire.value, wire.headers, RING) == message


def test_a_signature_does_not_move_to_another_topic() -> None:
    wire = signed(common.PRODUCER_OPERATOR)
    # The operator may write on both topics; still the signature is for the first one only.
    with pytest.raises(SignatureInvalid, match="does not fit"):
        envelope.decode(PAYMENTS_COMMANDS, wire.key, wire.value, wire.headers, RING)


def test_a_signature_does_not_move_to_another_key() -> None:
    wire, other = signed(), signed()
    assert "does not fit" in refused(replace(wire, key=other.key))


def test_bytes_do_not_move_from_value_to_key() -> None:
    # Without lengths in front, (topic, "ab", "c") and (topic, "a", "bc") would sign the same.
    assert signed_bytes("t", b"ab", b"c") != signed_bytes("t", b"a", b"bc")
    assert signed_bytes("ta", b"b", b"c") != signed_bytes("t", b"ab", b"c")


def test_every_changed_byte_of_the_value_is_noticed() -> None:
    wire = signed()
    for position in range(len(wire.value)):
        changed = bytearray(wire.value)
        changed[position] ^= 0x01
        assert "does not fit" in refused(replace(wire, value=bytes(changed)))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {KEY_ID_HEADER: b"web-1"},
        {SIGNATURE_HEADER: b"x" * 64},
        {KEY_ID_HEADER: b"web-1", SIGNATURE_HEADER: b""},
        {KEY_ID_HEADER: b"web-1", SIGNATURE_HEADER: b"x" * 64},
        {KEY_ID_HEADER: b"web-1", SIGNATURE_HEADER: b"x" * 100_000},
        {KEY_ID_HEADER: b"\xff\xfe", SIGNATURE_HEADER: b"x" * 64},
        {KEY_ID_HEADER: None, SIGNATURE_HEADER: None},
        {KEY_ID_HEADER: b"web-1", SIGNATURE_HEADER: None},
    ],
)
def test_without_a_whole_signature_nothing_is_believed(headers: dict[str, bytes]) -> None:
    refused(replace(signed(), headers=headers))


def test_a_key_that_nobody_trusts_signs_nothing() -> None:
    stranger = Keyring.generate()
    message = release()
    wire = envelope.encode(ESCROW_COMMANDS, message, stranger.signer(common.PRODUCER_WEB))
    assert "does not fit" in refused(wire)  # the same key id, another key
    unknown = {**wire.headers, KEY_ID_HEADER: b"web-99"}
    assert "nobody trusts" in refused(replace(wire, headers=unknown))


@pytest.mark.parametrize(
    "producer", [common.PRODUCER_PAYMENTS, common.PRODUCER_ESCROW, common.PRODUCER_WEBHOOKS]
)
def test_a_trusted_producer_writes_only_on_its_own_topics(producer: int) -> None:
    message = release(producer=producer)  # type: ignore[arg-type]
    value = message.SerializeToString()
    key = message.escrow_id.encode()
    headers = RING.signer(producer).sign(ESCROW_COMMANDS.name, key, value)
    assert "may not write here" in refused(envelope.Wire(key, value, headers))


def test_the_signer_is_who_the_message_says() -> None:
    message = release(producer=common.PRODUCER_DEADLINES)
    value, key = message.SerializeToString(), message.escrow_id.encode()
    headers = RING.signer(common.PRODUCER_WEB).sign(ESCROW_COMMANDS.name, key, value)
    assert "another producer" in refused(envelope.Wire(key, value, headers))


def test_encoding_as_somebody_else_is_a_defect_at_home() -> None:
    with pytest.raises(AssertionError):
        envelope.encode(ESCROW_COMMANDS, release(), RING.signer(common.PRODUCER_BOT))
    with pytest.raises(AssertionError):
        envelope.encode(ESCROW_COMMANDS, release())
    with pytest.raises(AssertionError):
        envelope.encode(PAYMENTS_EVENTS, release(), RING.signer(common.PRODUCER_WEB))


def test_keys_rotate_with_overlap(tmp_path: Path) -> None:
    Keyring.generate().save(tmp_path)
    first = Keyring.load(tmp_path, create=False)
    old_wire = envelope.encode(ESCROW_COMMANDS, release(), first.signer(common.PRODUCER_WEB))
    second = Keyring.generate()
    _trust_too(tmp_path, second, "web-2")

    both = Keyring.load(tmp_path, create=False)
    assert both.signer(common.PRODUCER_WEB).key_id == "web-2"
    new_wire = envelope.encode(ESCROW_COMMANDS, release(), both.signer(common.PRODUCER_WEB))
    for wire in (old_wire, new_wire):
        envelope.decode(ESCROW_COMMANDS, wire.key, wire.value, wire.headers, both)

    trust = json.loads((tmp_path / "trust.json").read_text())
    del trust["web-1"]
    (tmp_path / "trust.json").write_text(json.dumps(trust))
    after = Keyring.load(tmp_path, create=False)
    envelope.decode(ESCROW_COMMANDS, new_wire.key, new_wire.value, new_wire.headers, after)
    assert "nobody trusts" in refused(old_wire, after)


def test_the_tenth_key_follows_the_ninth(tmp_path: Path) -> None:
    Keyring.generate().save(tmp_path)
    for number in range(2, 12):
        _trust_too(tmp_path, Keyring.generate(), f"web-{number}")
    ring = Keyring.load(tmp_path, create=False)
    assert ring.signer(common.PRODUCER_WEB).key_id == "web-11"


def test_private_keys_are_for_their_owner_only(tmp_path: Path) -> None:
    Keyring.load(tmp_path, create=True)
    for path in tmp_path.glob("*.pem"):
        assert path.stat().st_mode & 0o077 == 0


def test_keys_are_made_once(tmp_path: Path) -> None:
    made = Keyring.load(tmp_path, create=True)
    again = Keyring.load(tmp_path, create=True)
    wire = envelope.encode(ESCROW_COMMANDS, release(), made.signer(common.PRODUCER_WEB))
    envelope.decode(ESCROW_COMMANDS, wire.key, wire.value, wire.headers, again)


def test_without_keys_and_without_leave_to_make_them_nothing_starts(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Keyring.load(tmp_path / "none", create=False)


def _trust_too(directory: Path, ring: Keyring, key_id: str) -> None:
    """Add `ring`'s web key to the ring in `directory` under `key_id`."""
    private = ring.signer(common.PRODUCER_WEB).private_key
    signer = Signer(key_id, common.PRODUCER_WEB, private)
    trusted = TrustedKey(common.PRODUCER_WEB, private.public_key())
    trust = json.loads((directory / "trust.json").read_text())
    Keyring({common.PRODUCER_WEB: signer}, {key_id: trusted}).save(directory)
    trust |= json.loads((directory / "trust.json").read_text())
    (directory / "trust.json").write_text(json.dumps(trust))
    assert os.path.exists(directory / f"{key_id}.pem")


def _load(directory: Path, results: list[Keyring]) -> None:
    results.append(Keyring.load(directory, create=True))


def test_processes_that_start_together_make_one_ring(tmp_path: Path) -> None:
    rings: list[Keyring] = []
    threads = [threading.Thread(target=_load, args=(tmp_path / "keys", rings)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    signed = rings[0].signer(common.PRODUCER_WEB).sign("t", b"k", b"v")
    assert {ring.verify("t", b"k", b"v", signed) for ring in rings} == {common.PRODUCER_WEB}
