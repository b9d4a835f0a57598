"""The description held against the server: generated requests, answers as described."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from bloxtr8.dev.postgres import EmbeddedPostgres
from bloxtr8.sandbox.objects import ObjectStandIn
from tests.api.server import Server, running_server
from web.application import ROUTES
from web.openapi import described, make_document
from web.problems import CONTENT_TYPE
from web.routes import Route, Who

pytestmark = [
    # The generator's own habit; it is seeded, so that runs are the same.
    pytest.mark.filterwarnings("ignore:Do not use the `random` module"),
    # What asks Roblox keeps to its calls a minute, a hundred seconds long on any machine.
    pytest.mark.timeout(600),
]

# In all forms together; a longer run is asked for by name.
EXAMPLES = int(os.environ.get("BLOXTR8_FUZZ_EXAMPLES", "50"))
TIMEOUT_S = 120
ADDRESS_MAX = 8_000
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
BY_NAME = {route.name: route for route in described(ROUTES)}
_REFUSED = ["400", "401", "403", "404", "406", "409", "410", "412", "413", "415", "422", "428"]
# What these end is the caller's own session or account; the others are still needed.
_ENDING = frozenset({"/auth/logout", "/auth/logout-all", "/api/v1/me/close"})

_LETTERS = st.characters(categories=("L", "N", "P", "S"), exclude_characters="")
schemathesis.openapi.format(
    "text", st.text(_LETTERS, min_size=1, max_size=120).map(str.strip).filter(bool)
)


def _schema() -> Any:
    config = SchemathesisConfig.from_dict(
        {
            "generation": {"mode": "all", "allow-x00": False, "with-security-parameters": False},
            "checks": {"negative_data_rejection": {"expected-statuses": _REFUSED}},
            "phases": {"coverage": {"enabled": False}, "examples": {"enabled": False}},
        }
    )
    document = make_document(ROUTES)
    # A stream goes on, and has tests of its own.
    document["paths"] = {
        path: operations
        for path, operations in document["paths"].items()
        if not BY_NAME.get(f"GET {path}", next(iter(BY_NAME.values()))).stream
    }
    return schemathesis.openapi.from_dict(document, config=config)


schema = _schema()


@pytest.fixture(scope="module")
def server(
    postgres_server: EmbeddedPostgres,
    object_server: ObjectStandIn,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    with running_server(postgres_server, object_server, tmp_path_factory) as running:
        yield running
        told = ", ".join(f"{status}: {n}" for status, n in sorted(running.answers.items()))
        print(f"{running.answers.total()} generated requests answered, by status {told}")


@schema.parametrize()  # type: ignore[untyped-decorator]
@hypothesis.settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_answers_are_as_described(case: Any, server: Server) -> None:
    _judge(case, server)


def _judge(case: Any, server: Server) -> None:
    route = BY_NAME[f"{case.method.upper()} {case.path}"]
    _name_real_things(case, server)
    answer = case.call(
        base_url=server.url,
        headers=server.headers(_caller(route)),
        timeout=TIMEOUT_S,
        allow_redirects=False,
    )
    _check(case, answer, server)


def _check(case: Any, answer: Any, server: Server) -> None:
    """Hold an answer against the description."""
    server.answers[answer.status_code] += 1
    if "x-request-id" not in answer.headers:
        # Refused before it was a request of ours.
        assert (answer.status_code, len(answer.request.url) > ADDRESS_MAX) == (400, True)
        return
    route = BY_NAME[f"{case.method.upper()} {case.path}"]
    case.validate_response(answer, checks=CHECKS)
    if answer.status_code >= 400 and not route.page and not route.also:
        assert CONTENT_TYPE in answer.headers["content-type"][0], answer.text


def _name_real_things(case: Any, server: Server) -> None:
    """Let what may be any id name what there is, so that more than 404 is met."""
    if _is_negative(case, ParameterLocation.PATH):
        return
    for name, value in case.path_parameters.items():
        if name in server.parts and value not in server.known:
            case.path_parameters[name] = server.parts[name]
    sound = isinstance(case.body, dict) and not _is_negative(case, ParameterLocation.BODY)
    if case.path == "/api/v1/listings" and sound:
        case.body["universe_id"] = next(server.universes)


def _is_negative(case: Any, location: ParameterLocation) -> bool:
    component = case.meta.components.get(location) if case.meta else None
    return component is not None and component.mode.is_negative


def _caller(route: Route) -> str:
    if route.path in _ENDING:
        return "outsider"
    if route.staff:
        return "admin"
    sellers = ("listings/{listing_id}", "/accept", "/decline", "/counter", "/experiences")
    if route.who is Who.SELLER or any(part in route.path for part in sellers):
        return "seller"
    return "buyer"


def test_what_follows_from_answers(server: Server) -> None:
    """Walk from what was made to what may be asked about it, as the description links them."""
    walks = 0
    wrong: list[str] = []

    @contextlib.contextmanager
    def noted(case: Any) -> Iterator[None]:
        try:
            yield
        except BaseException as error:  # groups of failures are no Exception
            wrong.append(f"{case.method} {case.path}: {error!r}")
            raise

    class Walk(schema.as_state_machine()):  # type: ignore[misc]
        def setup(self) -> None:
            nonlocal walks
            walks += 1

        def get_call_kwargs(self, case: Any) -> dict[str, Any]:
            route = BY_NAME[f"{case.method.upper()} {case.path}"]
            return {
                "base_url": server.url,
                "headers": server.headers(_caller(route)),
                "timeout": TIMEOUT_S,
                "allow_redirects": False,
            }

        def before_call(self, case: Any) -> None:
            _name_real_things(case, server)

        def call(self, case: Any, **options: Any) -> Any:
            with noted(case):
                return super().call(case, **options)

        def validate_response(self, response: Any, case: Any, **options: Any) -> None:
            with noted(case):
                _check(case, response, server)
            if response.status_code in (200, 201, 202) and response.content.startswith(b"{"):
                # What was made is asked about as it is named.
                server.known.add(response.json().get("id"))

    for number in range(EXAMPLES):
        if wrong or walks >= EXAMPLES:
            break
        settings = hypothesis.settings(
            max_examples=EXAMPLES - walks,
            stateful_step_count=6,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        # The server remembers, so a walk that begins like an earlier one may go on otherwise.
        # The generator cannot go on then: another one does, from its own seed. What was wrong
        # until then is noted.
        with contextlib.suppress(hypothesis.errors.Flaky):
            hypothesis.seed(number)(Walk).run(settings=settings)
    assert wrong == []
    assert walks >= EXAMPLES
