"""Models as JSON schemas: one component for each, as it is sent or as it is answered."""

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from web.routes import Route

Schema = dict[str, Any]
Mode = Literal["validation", "serialization"]
_PREFIX = "#/components/schemas/"

PROBLEM: Schema = {
    "type": "object",
    "title": "Problem",
    "description": "What went wrong (RFC 9457). Branch on `code` only; codes may add members.",
    "required": ["type", "title", "status", "detail", "instance", "code", "trace_id", "errors"],
    "properties": {
        "type": {"type": "string", "description": "a page about the code"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "one sentence for people"},
        "instance": {"type": "string", "description": "the path that was asked"},
        "code": {"type": "string"},
        "trace_id": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "code", "message"],
                "properties": {
                    "field": {"type": "string", "description": "JSON pointer"},
                    "code": {"type": "string"},
                    "message": {"type": "string"},
                },
            },
        },
        "retry_after_s": {"type": "integer"},
        "current_status": {"type": "string"},
        "version": {"type": "integer"},
        "required_tier": {"type": "string"},
        "missing_consents": {"type": "array", "items": {"type": "string"}},
        "blockers": {"type": "array", "items": {"type": "object"}},
    },
}


class Schemas:
    """The components of a set of routes."""

    def __init__(self, routes: Iterable[Route]) -> None:
        wanted: dict[tuple[type[BaseModel], Mode], None] = {}
        for route in routes:
            for model in (route.body, route.upload, route.query):
                if model is not None:
                    wanted[model, "validation"] = None
            for answer in (route.answer, route.preview):
                if answer is not None:
                    wanted[answer, "serialization"] = None
        self._of, found = models_json_schema(list(wanted), ref_template=_PREFIX + "{model}")
        self.all: dict[str, Schema] = {**found.get("$defs", {}), "Problem": PROBLEM}

    def sent(self, model: type[BaseModel]) -> Schema:
        """Return the reference to a request's model."""
        return self._of[model, "validation"]

    def answered(self, model: type[BaseModel]) -> Schema:
        """Return the reference to an answer's model."""
        return self._of[model, "serialization"]

    def resolved(self, schema: Schema) -> Schema:
        """Return what a reference points at; any other schema itself."""
        name = schema.get("$ref", "")
        return self.all[name.removeprefix(_PREFIX)] if name else schema
