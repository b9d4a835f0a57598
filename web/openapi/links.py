"""From what an answer names to the routes about it."""

from typing import Any

from web.openapi.parameters import names
from web.routes import Route

Json = dict[str, Any]


def operation_id(route: Route) -> str:
    """Return a name for `route` that is its own."""
    if route.path == "/":
        return f"{route.method.lower()}_home"
    words = route.path.removeprefix("/api/v1/").strip("/").replace("{", "").replace("}", "")
    for character in "/-.":
        words = words.replace(character, "_")
    return f"{route.method.lower()}_{words.replace('__', '_').strip('_')}"


class Links:
    """What may be asked about something that was made or shown."""

    def __init__(self, routes: list[Route]) -> None:
        self._by_parameter: dict[str, list[Route]] = {}
        for route in routes:
            found = names(route.path)
            if len(found) == 1:
                self._by_parameter.setdefault(found[0], []).append(route)

    def of(self, route: Route) -> Json:
        """Return a link to each route about what `route` answers with."""
        location = getattr(route.answer, "location", None)
        if location is None:
            return {}
        parameter = f"{_thing(location)}_id"
        return {
            operation_id(target): {
                "operationId": operation_id(target),
                "parameters": {parameter: "$response.body#/id"},
            }
            for target in self._by_parameter.get(parameter, ())
        }


def _thing(location: str) -> str:
    """Return what stands at a location: `/api/v1/offers/{id}` is an offer."""
    return location.split("/")[-2].removesuffix("s")
