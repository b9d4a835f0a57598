"""What was once written must be readable for ever."""

import importlib.util
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorSet
from google.protobuf.json_format import MessageToDict
from google.protobuf.message_factory import GetMessageClass

from bloxtr8.messaging import envelope
from bloxtr8.messaging.signatures import Keyring
from bloxtr8.messaging.topics import BY_NAME, TOPICS

ROOT = Path(__file__).resolve().parents[3]


def _script() -> Any:
    spec = importlib.util.spec_from_file_location("proto_compat", ROOT / "scripts/proto_compat.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


compat = _script()
# Reading the descriptors imports every generated module; the pool then knows all messages.
CURRENT = compat.current()


def golden() -> Iterator[Any]:
    """Return (name, entry) of everything that is kept."""
    for name in compat.ROOTS:
        for body, entry in json.loads((compat.GOLDEN / f"{name}.json").read_text()).items():
            yield pytest.param(name, entry, id=f"{name}-{body}" if body else name)


def message_class(name: str) -> Any:
    pool = compat.descriptor_pool.Default()
    return GetMessageClass(pool.FindMessageTypeByName(compat.ROOTS[name]))


@pytest.mark.parametrize(("name", "entry"), list(golden()))
def test_golden_bytes_mean_what_they_meant(name: str, entry: dict[str, Any]) -> None:
    message = message_class(name).FromString(bytes.fromhex(entry["bytes"]))
    assert MessageToDict(message, preserving_proto_field_name=True) == entry["message"]


@pytest.mark.parametrize(("name", "entry"), list(golden()))
def test_golden_messages_are_accepted_from_their_topics(name: str, entry: dict[str, Any]) -> None:
    if name not in BY_NAME:
        return
    spec = replace(BY_NAME[name], producers=frozenset())
    value = bytes.fromhex(entry["bytes"])
    key = str(getattr(spec.message.FromString(value), spec.key_field)).encode()
    envelope.decode(spec, key, value, {}, Keyring({}, {}))


def test_every_topic_has_golden_bytes_of_every_released_body() -> None:
    assert set(BY_NAME) <= set(compat.ROOTS)
    messages, _ = compat._declared(compat.released())
    for spec in TOPICS:
        kept = json.loads((compat.GOLDEN / f"{spec.name}.json").read_text())
        declared = messages[compat.ROOTS[spec.name]]
        body = [oneof.name for oneof in declared.oneof_decl].index("body")
        released = {
            field.name
            for field in declared.field
            if field.HasField("oneof_index") and field.oneof_index == body
        }
        assert released == set(kept)


def test_nothing_released_has_changed() -> None:
    assert compat.breaks(compat.released(), CURRENT) == []


class TestTheCheckItself:
    """It sees each way to break a reader."""

    @pytest.fixture
    def changed(self) -> FileDescriptorSet:
        copy = FileDescriptorSet()
        copy.CopyFrom(compat.released())
        return copy

    @staticmethod
    def message(files: FileDescriptorSet, name: str) -> DescriptorProto:
        found: DescriptorProto = compat._declared(files)[0][name]
        return found

    def broken(self, changed: FileDescriptorSet) -> list[str]:
        found: list[str] = compat.breaks(compat.released(), changed)
        return found

    def test_adding_is_free(self, changed: FileDescriptorSet) -> None:
        money = self.message(changed, "bloxtr8.common.v1.Money")
        money.field.add(name="note", number=99, type=FieldDescriptorProto.TYPE_STRING)
        changed.file[0].message_type.add(name="New")
        assert self.broken(changed) == []

    def test_a_field_that_is_gone(self, changed: FileDescriptorSet) -> None:
        del self.message(changed, "bloxtr8.common.v1.Money").field[0]
        assert self.broken(changed) == ["bloxtr8.common.v1.Money.minor = 1 is gone"]

    def test_a_field_with_another_number(self, changed: FileDescriptorSet) -> None:
        self.message(changed, "bloxtr8.common.v1.Money").field[0].number = 9
        assert self.broken(changed) == ["bloxtr8.common.v1.Money.minor = 1 is gone"]

    def test_a_field_of_another_type(self, changed: FileDescriptorSet) -> None:
        field = self.message(changed, "bloxtr8.common.v1.Money").field[0]
        field.type = FieldDescriptorProto.TYPE_UINT64
        assert self.broken(changed) == ["bloxtr8.common.v1.Money.minor = 1 has another type"]

    def test_a_field_of_another_message(self, changed: FileDescriptorSet) -> None:
        field = self.message(changed, "bloxtr8.escrow.v1.CreateEscrow").field[4]
        field.type_name = ".bloxtr8.common.v1.Actor"
        (line,) = self.broken(changed)
        assert "another type_name" in line

    def test_a_field_that_repeats(self, changed: FileDescriptorSet) -> None:
        field = self.message(changed, "bloxtr8.common.v1.Money").field[0]
        field.label = FieldDescriptorProto.LABEL_REPEATED
        assert self.broken(changed) == ["bloxtr8.common.v1.Money.minor = 1 has another label"]

    def test_a_number_given_to_another_name(self, changed: FileDescriptorSet) -> None:
        self.message(changed, "bloxtr8.common.v1.Money").field[0].name = "major"
        assert self.broken(changed) == ["bloxtr8.common.v1.Money.minor = 1 has another name"]

    def test_a_body_outside_of_the_oneof(self, changed: FileDescriptorSet) -> None:
        field = self.message(changed, "bloxtr8.escrow.v1.EscrowCommand").field[-1]
        field.ClearField("oneof_index")
        (line,) = self.broken(changed)
        assert "moved between oneofs" in line

    def test_a_message_that_is_gone(self, changed: FileDescriptorSet) -> None:
        for file in changed.file:
            if file.package == "bloxtr8.webhook.v1":
                del file.message_type[:]
        assert "bloxtr8.webhook.v1.WebhookEvent is gone" in self.broken(changed)

    def test_an_enum_value_with_another_number(self, changed: FileDescriptorSet) -> None:
        for file in changed.file:
            for enum in file.enum_type:
                if enum.name == "Rail":
                    enum.value[1].number = 7
        assert self.broken(changed) == ["bloxtr8.common.v1.Rail.RAIL_STRIPE is no longer 1"]
