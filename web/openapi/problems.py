"""Refusals as answers: one component for each set of codes."""

from typing import Any

from bloxtr8.errors import Bloxtr8Error
from web.openapi.refusals import refusals
from web.problems import CONTENT_TYPE
from web.routes import Route

Json = dict[str, Any]


class Problems:
    """The refusals of a set of routes; `all` are the components that `of` has named."""

    def __init__(self) -> None:
        self.all: dict[str, Json] = {}
        self._names: dict[tuple[Any, ...], str] = {}

    def of(self, route: Route) -> Json:
        """Return the refusals of `route` by status."""
        by_status: dict[int, list[type[Bloxtr8Error]]] = {}
        for error in refusals(route):
            if error.status not in (route.status, *route.also):
                by_status.setdefault(error.status, []).append(error)
        return {
            str(status): {"$ref": f"#/components/responses/{self._name(status, found, route.page)}"}
            for status, found in by_status.items()
        }

    def _name(self, status: int, found: list[type[Bloxtr8Error]], page: bool) -> str:
        key = (status, page, *(error.code for error in found))
        if key not in self._names:
            number = sum(1 for other in self._names if other[0] == status) + 1
            self._names[key] = name = f"refused_{status}_{number}"
            self.all[name] = _page(found) if page else _problem(status, found)
        return self._names[key]


def _problem(status: int, found: list[type[Bloxtr8Error]]) -> Json:
    codes = {"code": {"enum": [error.code for error in found]}, "status": {"const": status}}
    schema = {"allOf": [{"$ref": "#/components/schemas/Problem"}, {"properties": codes}]}
    answer = _told(found)
    answer["content"] = {CONTENT_TYPE: {"schema": schema, "example": _example(status, found[0])}}
    if status in (429, 503):
        answer["headers"] = {"Retry-After": {"$ref": "#/components/headers/Retry-After"}}
    return answer


def _page(found: list[type[Bloxtr8Error]]) -> Json:
    return {**_told(found), "content": {"text/html": {"schema": {"type": "string"}}}}


def _told(found: list[type[Bloxtr8Error]]) -> Json:
    return {"description": "\n".join(f"- `{error.code}`: {error.title}" for error in found)}


def _example(status: int, error: type[Bloxtr8Error]) -> Json:
    return {
        "type": f"https://bloxtr8.example/problems/{error.code}",
        "title": error.title,
        "status": status,
        "detail": error.title,
        "instance": "/api/v1/…",
        "code": error.code,
        "trace_id": "c7a1f0be52d94d3c8f6e1b7a90d4e215",
        "errors": [],
    }
