"""The Faust schema of a Bloxtr8 topic: Protobuf in, Protobuf out, never an exception on reading.

Faust acknowledges a message whose decoding raises before any hook of ours runs, so a bad
message would be lost. Here it becomes a `Poison` value that the agent dead-letters.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import faust

from bloxtr8.messaging import envelope
from bloxtr8.messaging.signatures import Keyring, SignatureInvalid
from bloxtr8.messaging.topics import TopicSpec
from proto.bloxtr8.common.v1 import common_pb2 as common


@dataclass(frozen=True, slots=True)
class Poison:
    """A message that cannot be used: why, of which kind."""

    kind: "common.DeadLetterKind.ValueType"
    reason: str


class ProtobufSchema(faust.Schema):  # type: ignore[misc]
    """One instance for each topic."""

    def __init__(self, spec: TopicSpec, keyring: Keyring) -> None:
        super().__init__(
            key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
        )
        self.spec = spec
        self.keyring = keyring

    def loads_key(
        self,
        app: Any,
        message: Any,
        *,
        loads: Callable[..., Any] | None = None,
        serializer: Any = None,
    ) -> Any:
        return message.key

    def loads_value(
        self,
        app: Any,
        message: Any,
        *,
        loads: Callable[..., Any] | None = None,
        serializer: Any = None,
    ) -> Any:
        try:
            return envelope.decode(
                self.spec, message.key, message.value, message.headers, self.keyring
            )
        except envelope.Malformed as error:
            return Poison(common.DEAD_LETTER_KIND_MALFORMED, str(error))
        except SignatureInvalid as error:
            return Poison(common.DEAD_LETTER_KIND_UNAUTHENTIC, str(error))
        except Exception as error:  # decoding must not raise, whatever it met
            return Poison(common.DEAD_LETTER_KIND_POISON, type(error).__name__)

    def dumps_value(
        self, app: Any, value: Any, *, serializer: Any = None, headers: Any
    ) -> tuple[Any, Any]:
        if isinstance(value, envelope.Wire):
            merged: Mapping[str, bytes] = {**dict(headers or {}), **value.headers}
            return value.value, merged
        return value, headers
