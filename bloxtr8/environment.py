"""Settings as environment variables: for child processes and for `.env.example`."""

import json
import os
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from bloxtr8.config import PREFIX, Settings

_HEADER = """\
# Every setting of Bloxtr8 with its default. Lists are JSON. A value can also come from a file:
# BLOXTR8_STRIPE__API_KEY_FILE=/run/secrets/stripe names one that holds the key.
# Written by `bloxtr8 env-example`; do not edit.
"""


def to_environment(settings: Settings) -> dict[str, str]:
    """Return the variables that make another process read the same settings.

    What the current environment holds for other programs is kept; other `BLOXTR8_` variables
    are not. The values contain secrets.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return kept | {name: _text(value) for name, value, _ in _leaves(settings)}


def example() -> str:
    """Return the text of `.env.example`: each setting, what it means, its default."""
    lines = [_HEADER]
    group = ""
    for name, value, field in _leaves(_defaults()):
        path = name.removeprefix(PREFIX).split("__")
        if len(path) > 1 and path[0] != group:
            group = path[0]
            lines.append(f"\n# --- {group.lower()}")
        comment = "; ".join(filter(None, (field.description, _choices(field))))
        if comment:
            lines.append(f"# {comment}")
        lines.append(f"#{name}={_text(value)}")
    return "\n".join(lines) + "\n"


def _defaults() -> Settings:
    return Settings.model_construct()


def _leaves(model: BaseModel, prefix: str = PREFIX) -> Iterator[tuple[str, Any, FieldInfo]]:
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _leaves(value, f"{prefix}{name.upper()}__")
        else:
            yield f"{prefix}{name.upper()}", value, field


def _text(value: Any) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return json.dumps([_text(item) for item in value])
    return str(value)


def _choices(field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return "one of " + ", ".join(map(str, get_args(field.annotation)))
    return ""
