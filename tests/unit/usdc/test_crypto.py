from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bloxtr8.crypto import DATA_KEYS_FILE, DataKeys, Undecryptable

KEYS = DataKeys.generate()


@given(st.binary(max_size=500), st.text(max_size=40))
def test_what_was_encrypted_comes_back(plain: bytes, context: str) -> None:
    value = KEYS.encrypt(plain, context)
    assert KEYS.decrypt(value, context) == plain
    assert len(plain) < 8 or plain not in value


def test_the_same_value_never_looks_the_same() -> None:
    assert KEYS.encrypt(b"x", "c") != KEYS.encrypt(b"x", "c")


def test_another_context_another_key_or_any_change_is_noticed() -> None:
    value = KEYS.encrypt(b"secret", "screening/1")
    for ring, kept, context in (
        (KEYS, value, "screening/2"),
        (DataKeys.generate(), value, "screening/1"),
        (DataKeys(2, {2: b"k" * 32}), value, "screening/1"),
        (KEYS, b"", "screening/1"),
        (KEYS, value[:20], "screening/1"),
    ):
        with pytest.raises(Undecryptable):
            ring.decrypt(kept, context)
    for index in range(len(value)):
        changed = value[:index] + bytes([value[index] ^ 1]) + value[index + 1 :]
        with pytest.raises(Undecryptable):
            KEYS.decrypt(changed, "screening/1")


def test_rotation_keeps_old_values_readable_and_renews_them() -> None:
    old = KEYS.encrypt(b"secret", "c")
    ring = KEYS.rotated()
    assert ring.decrypt(old, "c") == b"secret"
    new = ring.renew(old, "c")
    assert (ring.number_of(old), ring.number_of(new)) == (1, 2)
    assert ring.renew(new, "c") == new
    last = ring.without(1)
    assert last.decrypt(new, "c") == b"secret"
    with pytest.raises(Undecryptable):
        last.decrypt(old, "c")


def test_ring_on_disk(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        DataKeys.load(tmp_path / "keys", create=False)
    first = DataKeys.load(tmp_path / "keys", create=True)
    assert DataKeys.load(tmp_path / "keys", create=True) == first
    ring = first.rotated()
    ring.save(tmp_path / "keys")
    assert DataKeys.load(tmp_path / "keys", create=False) == ring
    path = tmp_path / "keys" / DATA_KEYS_FILE
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(entry.name for entry in path.parent.iterdir()) == [DATA_KEYS_FILE]
    assert ring.keys[1].hex() not in repr(ring)


@pytest.mark.parametrize("text", ["{}", "[]", '{"current": 1, "keys": {}}', '{"current": 1}', "x"])
def test_file_that_is_no_ring(tmp_path: Path, text: str) -> None:
    (tmp_path / DATA_KEYS_FILE).write_text(text)
    with pytest.raises(ValueError):
        DataKeys.load(tmp_path, create=True)
