"""The description as a page for people: everything in one file, nothing from elsewhere."""

import base64
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

Json = dict[str, Any]

_FOLDER = Path(__file__).parent
_SCHEMAS = "#/components/schemas/"
_METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True, slots=True)
class Page:
    """The page and the policy under which its own style and script run."""

    html: str
    policy: str


def make_page(document: Json, *, sandbox: bool) -> Page:
    """Return the page of an OpenAPI document; in a sandbox requests can be tried from it."""
    style = (_FOLDER / "page.css").read_text()
    script = (_FOLDER / "page.js").read_text()
    environment = Environment(
        loader=FileSystemLoader(_FOLDER), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["prose"] = _prose
    html = environment.get_template("page.html").render(
        document=document,
        groups=_groups(document),
        models=_models(document),
        codes=_codes(document),
        sandbox=sandbox,
        # Our own files, not anybody's text.
        style=Markup(style),  # noqa: S704
        script=Markup(script),  # noqa: S704
    )
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)};"
        " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Page(html, policy)


def _prose(text: str) -> Markup:
    """Return a text of ours with what stands in backticks as code."""
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else part
        for number, part in enumerate(parts)
    )


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _groups(document: Json) -> list[Json]:
    groups: dict[str, Json] = {
        tag["name"]: {"name": tag["name"], "description": tag["description"], "operations": []}
        for tag in document["tags"]
    }
    for path, methods in document["paths"].items():
        for method in _METHODS:
            if method in methods:
                shown = _operation(document, method, path, methods[method])
                groups[methods[method]["tags"][0]]["operations"].append(shown)
    return list(groups.values())


def _operation(document: Json, method: str, path: str, operation: Json) -> Json:
    kind, content = _content(operation.get("requestBody", {}))
    body = None
    if kind is not None:
        schema = _resolved(document, content["schema"])
        body = {
            "type": kind,
            "fields": _fields(schema)
            or [f for s in _choices(document, schema) for f in _fields(s)],
            "note": schema.get("description"),
            "example": _pretty(content["example"]) if "example" in content else None,
        }
    answers, refusals = _answers(document, operation)
    return {
        "id": operation["operationId"],
        "method": method.upper(),
        "path": path,
        "summary": operation["summary"],
        "notes": operation["description"].split("\n\n"),
        "open": not all(operation["security"]),
        "parameters": [_parameter(p) for p in operation.get("parameters", ())],
        "body": body,
        "answers": answers,
        "refusals": refusals,
    }


def _answers(document: Json, operation: Json) -> tuple[list[Json], list[Json]]:
    answers, refusals = [], []
    for status, answer in operation["responses"].items():
        if "$ref" in answer:
            found = document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
            refusals += [{"status": status, **told} for told in _told(found["description"])]
            continue
        kind, content = _content(answer)
        answers.append(
            {
                "status": status,
                "description": answer["description"],
                "type": kind,
                "model": _type(content.get("schema", {})) if kind == "application/json" else None,
                "example": _pretty(content["example"]) if "example" in content else None,
                "headers": list(answer.get("headers", {})),
            }
        )
    return answers, refusals


def _content(answer: Json) -> tuple[str | None, Json]:
    for kind, content in answer.get("content", {}).items():
        return kind, content
    return None, {}


def _told(description: str) -> list[Json]:
    lines = (line.removeprefix("- `").split("`: ", 1) for line in description.split("\n"))
    return [{"code": code, "title": title} for code, title in lines]


def _parameter(parameter: Json) -> Json:
    schema = parameter["schema"]
    return {
        "name": parameter["name"],
        "place": parameter["in"],
        "required": parameter["required"],
        "type": _type(schema),
        "limits": _limits(schema),
        "description": parameter.get("description") or schema.get("description", ""),
        "example": parameter.get("example", ""),
    }


def _models(document: Json) -> list[Json]:
    found = []
    for name, schema in sorted(document["components"]["schemas"].items()):
        fields = _fields(schema)
        choices = [_type(choice) for choice in schema.get("anyOf", schema.get("oneOf", ()))]
        found.append(
            {"name": name, "note": schema.get("description"), "fields": fields, "of": choices}
        )
    return found


def _codes(document: Json) -> list[Json]:
    found: dict[str, Json] = {}
    for name, response in document["components"]["responses"].items():
        status = name.split("_")[1]
        for told in _told(response["description"]):
            found[told["code"]] = {"status": status, **told}
    return sorted(found.values(), key=lambda code: (code["status"], code["code"]))


def _fields(schema: Json) -> list[Json]:
    required = set(schema.get("required", ()))
    return [
        {
            "name": name,
            "required": name in required,
            "type": _type(field),
            "limits": _limits(field),
            "description": field.get("description", ""),
        }
        for name, field in schema.get("properties", {}).items()
    ]


def _choices(document: Json, schema: Json) -> list[Json]:
    listed: list[Json] = schema.get("anyOf") or schema.get("oneOf") or []
    return [_resolved(document, choice) for choice in listed]


def _resolved(document: Json, schema: Json) -> Json:
    name = schema.get("$ref", "")
    if not name:
        return schema
    found: Json = document["components"]["schemas"][name.removeprefix(_SCHEMAS)]
    return found


def _type(schema: Json) -> str:
    """Return a schema's kind in a few words; models by their name."""
    if "$ref" in schema:
        return str(schema["$ref"]).removeprefix(_SCHEMAS)
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    listed: list[Json] = schema.get("anyOf") or schema.get("oneOf") or []
    if listed:
        return " | ".join(dict.fromkeys(_type(choice) for choice in listed))
    if schema.get("type") == "array":
        return f"{_type(schema.get('items', {}))}[]"
    return str(schema.get("format") or schema.get("type") or "any")


def _limits(schema: Json) -> str:
    kinds = [schema, *schema.get("anyOf", ())]
    found = []
    for kind in kinds:
        low, high = kind.get("minimum"), kind.get("maximum")
        short, long = kind.get("minLength"), kind.get("maxLength")
        if low is not None or high is not None:
            found.append(f"{'' if low is None else low} … {'' if high is None else high}")
        if short is not None or long is not None:
            found.append(f"{short or 0} … {'' if long is None else long} characters")
        if "pattern" in kind:
            found.append(kind["pattern"])
        if "maxItems" in kind:
            found.append(f"at most {kind['maxItems']}")
    if schema.get("default") not in (None, "", []):
        found.append(f"default {json.dumps(schema['default'])}")
    return "; ".join(found)


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
