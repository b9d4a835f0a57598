"""The description by itself: valid, complete, and true of what it describes."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import validate

from bloxtr8.errors import Bloxtr8Error
from web.application import ROUTES
from web.openapi import described, make_document
from web.openapi.page import make_page
from web.openapi.refusals import OWN, refusals
from web.problems import error_classes
from web.routes import Route

DOCUMENT: dict[str, Any] = make_document(ROUTES)
OPERATIONS = [
    (f"{method.upper()} {path}", operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]
SHOWN = described(ROUTES)


def _schema(reference: dict[str, Any]) -> dict[str, Any]:
    return {**reference, "components": DOCUMENT["components"]}


def test_it_is_valid_openapi() -> None:
    validate(DOCUMENT)


def test_the_committed_copy_is_current() -> None:
    committed = Path(__file__).parents[2] / "docs" / "openapi.json"
    assert json.loads(committed.read_text()) == DOCUMENT, "run `make openapi`"


def test_every_route_is_in_it_once() -> None:
    assert [name for name, _ in OPERATIONS] == _grouped(route.name for route in SHOWN)
    ids = [operation["operationId"] for _, operation in OPERATIONS]
    assert len(set(ids)) == len(ids)


def _grouped(names: Any) -> list[str]:
    """Return names with those of one path side by side, as a document has them."""
    paths: dict[str, list[str]] = {}
    for name in names:
        paths.setdefault(name.split(" ", 1)[1], []).append(name)
    return [name for group in paths.values() for name in group]


@pytest.mark.parametrize("route", SHOWN, ids=lambda route: route.name)
def test_a_json_answer_has_a_model(route: Route) -> None:
    plain = route.status in (204, 302, 303) or route.page or route.content != "application/json"
    described_elsewhere = route.path == "/openapi.json"
    assert plain or described_elsewhere or route.answer is not None


@pytest.mark.parametrize(("name", "operation"), OPERATIONS, ids=[name for name, _ in OPERATIONS])
def test_examples_fit_their_schemas(name: str, operation: dict[str, Any]) -> None:
    parts = [operation.get("requestBody", {}), *operation["responses"].values()]
    for part in parts:
        shown = DOCUMENT["components"]["responses"].get(part.get("$ref", "").rpartition("/")[2])
        for content in (shown or part).get("content", {}).values():
            if "example" in content:
                jsonschema.validate(content["example"], _schema(content["schema"]))


def test_every_route_says_what_goes_wrong() -> None:
    for name, operation in OPERATIONS:
        assert {"500", "503"} <= set(operation["responses"]), name
        if operation["security"] and {} not in operation["security"]:
            assert {"401", "429"} <= set(operation["responses"]), name
            assert "403" in operation["responses"] or name.startswith("GET "), name


def test_own_refusals_are_of_routes_that_exist() -> None:
    names = [route.name for route in ROUTES]
    assert [start for start in OWN if not any(name.startswith(start) for name in names)] == []


def test_every_code_that_is_told_has_a_page_and_no_other() -> None:
    told = {error.code for route in SHOWN for error in refusals(route)}
    assert told <= set(error_classes())
    assert {error.code for error in error_classes().values()} - told <= _UNUSED


# Roots that are never raised themselves, and what is told outside of any route.
_UNUSED = {"conflict", "bad_request", "gone", "method_not_allowed"}


def test_the_page_needs_nothing_from_elsewhere() -> None:
    page = make_page(DOCUMENT, sandbox=True)
    for outside in ("src=", "@import", "url(", "<link"):
        assert outside not in page.html
    assert "'unsafe" not in page.policy
    assert Bloxtr8Error.code in page.html
    assert all(route.path in page.html for route in SHOWN)
    assert "data-token" not in make_page(DOCUMENT, sandbox=False).html


def test_texts_of_the_description_cannot_break_the_page() -> None:
    document = json.loads(json.dumps(DOCUMENT))
    document["info"]["description"] = "<script>alert(1)</script> `<b>`"
    assert "<script>alert(1)" not in make_page(document, sandbox=True).html
    assert "<b>" not in make_page(document, sandbox=True).html.split("</header>")[0]
