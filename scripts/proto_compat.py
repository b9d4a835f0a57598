"""Within v1 messages only grow: compare what is declared now with what was released.

proto_compat.py --check     tell what a reader of released messages would no longer understand
proto_compat.py --release   take over what is declared now, and golden bytes of new messages
"""

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from google.protobuf import descriptor_pool  # noqa: E402
from google.protobuf.descriptor import Descriptor, FieldDescriptor  # noqa: E402
from google.protobuf.descriptor_pb2 import (  # noqa: E402
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)
from google.protobuf.json_format import MessageToDict  # noqa: E402
from google.protobuf.message_factory import GetMessageClass  # noqa: E402

from bloxtr8 import ids  # noqa: E402

RELEASED = ROOT / "proto" / "released" / "v1.binpb"
GOLDEN = ROOT / "tests" / "unit" / "proto" / "golden"
# What stands on a topic or in a table, by the file that keeps its golden bytes.
ROOTS = {
    "escrow.commands.v1": "bloxtr8.escrow.v1.EscrowCommand",
    "escrow.events.v1": "bloxtr8.escrow.v1.EscrowEvent",
    "payments.commands.v1": "bloxtr8.payments.v1.PaymentCommand",
    "payments.events.v1": "bloxtr8.payments.v1.PaymentEvent",
    "webhook.events.v1": "bloxtr8.webhook.v1.WebhookEvent",
    "contracts.events.v1": "bloxtr8.contracts.v1.ContractEvent",
    "marketplace.events.v1": "bloxtr8.market.v1.MarketEvent",
    "dead-letters": "bloxtr8.common.v1.DeadLetter",
    "table-escrows": "bloxtr8.escrow.v1.EscrowRecord",
}
_DEPTH_MAX = 4
_MOMENT_SECONDS = 1_772_366_400
_FIELD_FACTS = ("name", "type", "type_name", "label", "proto3_optional")


def current() -> FileDescriptorSet:
    """Return the descriptors of every .proto file as it is now."""
    found = FileDescriptorSet()
    for path in sorted((ROOT / "proto").rglob("*.proto")):
        name = path.relative_to(ROOT).as_posix()
        module = name.removesuffix(".proto").replace("/", ".") + "_pb2"
        importlib.import_module(module).DESCRIPTOR.CopyToProto(found.file.add())
    return found


def released() -> FileDescriptorSet:
    """Return the descriptors of the last release; raises FileNotFoundError before the first."""
    return FileDescriptorSet.FromString(RELEASED.read_bytes())


def breaks(before: FileDescriptorSet, after: FileDescriptorSet) -> list[str]:
    """Return one sentence for each thing of `before` that `after` no longer means the same."""
    messages, enums = _declared(after)
    old_messages, old_enums = _declared(before)
    return [
        *(line for name, old in old_messages.items() for line in _message(name, old, messages)),
        *(line for name, old in old_enums.items() for line in _enum(name, old, enums)),
    ]


def _message(
    name: str, old: DescriptorProto, messages: dict[str, DescriptorProto]
) -> Iterator[str]:
    new = messages.get(name)
    if new is None:
        yield f"{name} is gone"
        return
    fields = {field.number: field for field in new.field}
    for field in old.field:
        now = fields.get(field.number)
        if now is None:
            yield f"{name}.{field.name} = {field.number} is gone"
            continue
        for fact in _FIELD_FACTS:
            if getattr(field, fact) != getattr(now, fact):
                yield f"{name}.{field.name} = {field.number} has another {fact}"
        if _oneof(old, field) != _oneof(new, now):
            yield f"{name}.{field.name} = {field.number} moved between oneofs"


def _oneof(message: DescriptorProto, field: FieldDescriptorProto) -> str:
    return message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else ""


def _enum(
    name: str, old: EnumDescriptorProto, enums: dict[str, EnumDescriptorProto]
) -> Iterator[str]:
    new = enums.get(name)
    if new is None:
        yield f"{name} is gone"
        return
    values = {value.name: value.number for value in new.value}
    for value in old.value:
        if values.get(value.name) != value.number:
            yield f"{name}.{value.name} is no longer {value.number}"


def _declared(
    files: FileDescriptorSet,
) -> tuple[dict[str, DescriptorProto], dict[str, EnumDescriptorProto]]:
    messages: dict[str, DescriptorProto] = {}
    enums: dict[str, EnumDescriptorProto] = {}

    def visit(prefix: str, scope: FileDescriptorProto | DescriptorProto) -> None:
        nested = scope.message_type if isinstance(scope, FileDescriptorProto) else scope.nested_type
        for message in nested:
            messages[f"{prefix}.{message.name}"] = message
            visit(f"{prefix}.{message.name}", message)
        for enum in scope.enum_type:
            enums[f"{prefix}.{enum.name}"] = enum

    for file in files.file:
        visit(file.package, file)
    return messages, enums


def bodies(root: str) -> list[str]:
    """Return the kinds of body that messages of type `root` have; [""] without a oneof `body`."""
    descriptor = descriptor_pool.Default().FindMessageTypeByName(root)
    oneof = descriptor.oneofs_by_name.get("body")
    return [""] if oneof is None else [field.name for field in oneof.fields]


def example(root: str, body: str) -> Any:
    """Return a message of type `root` with that body and every field set, always the same."""
    descriptor = descriptor_pool.Default().FindMessageTypeByName(root)
    message = GetMessageClass(descriptor)()
    _fill(message, descriptor, body, _DEPTH_MAX)
    return message


def _fill(message: Any, descriptor: Descriptor, body: str, depth: int) -> None:
    if descriptor.full_name == "google.protobuf.Timestamp":
        message.seconds = _MOMENT_SECONDS
        return
    taken: set[str] = set()
    for field in descriptor.fields:
        oneof = field.containing_oneof
        if oneof is not None:
            if oneof.name in taken or (oneof.name == "body" and body and field.name != body):
                continue
            taken.add(oneof.name)
        _set(message, field, depth)


def _set(message: Any, field: FieldDescriptor, depth: int) -> None:
    if field.message_type is not None:
        if depth > 0:
            target = getattr(message, field.name)
            inner = target.add() if field.is_repeated else target
            inner.SetInParent()
            _fill(inner, field.message_type, "", depth - 1)
        return
    value = _scalar(field)
    if field.is_repeated:
        getattr(message, field.name).append(value)
    else:
        setattr(message, field.name, value)


def _scalar(field: FieldDescriptor) -> Any:
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        if field.type == FieldDescriptor.TYPE_BYTES:
            return ids.derived(field.name).bytes
        return str(ids.derived(field.name)) if field.name.endswith("_id") else field.name
    if field.enum_type is not None:
        return field.enum_type.values[-1].number
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return True
    return 1000 + field.number


def _release() -> None:
    RELEASED.parent.mkdir(exist_ok=True)
    RELEASED.write_bytes(current().SerializeToString(deterministic=True))
    GOLDEN.mkdir(exist_ok=True)
    for name, root in ROOTS.items():
        path = GOLDEN / f"{name}.json"
        known = json.loads(path.read_text()) if path.exists() else {}
        for body in bodies(root):
            if body not in known:
                known[body] = _golden(example(root, body))
        path.write_text(json.dumps(known, indent=1) + "\n")


def _golden(message: Any) -> dict[str, Any]:
    return {
        "message": MessageToDict(message, preserving_proto_field_name=True),
        "bytes": message.SerializeToString(deterministic=True).hex(),
    }


def main() -> int:
    """Return 1 when something released would no longer be understood."""
    broken = breaks(released(), current()) if RELEASED.exists() else []
    for line in broken:
        sys.stderr.write(f"{line}: within v1 only add\n")
    if "--release" in sys.argv[1:] and not broken:
        _release()
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
