"""The page that describes the API, made of its OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monitor.report.markup import Markup, element
from monitor.report.style import page, section, table


def api_page(spec: Mapping[str, Any]) -> str:
    """Return the HTML page of an OpenAPI document."""
    info = spec["info"]
    return page(
        info["title"],
        element("header", element("h1", info["title"]), element("p", info["description"])),
        element(
            "p", "For programs: ", element("a", "/api/openapi.json", href="/api/openapi.json"), "."
        ),
        [
            _operation(method, path, operation)
            for path, operations in spec["paths"].items()
            for method, operation in operations.items()
        ],
        section("Values", [_schema(*each) for each in spec["components"]["schemas"].items()]),
    )


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> Markup:
    parameters = [
        [each["name"], each["in"], each["description"]] for each in operation.get("parameters", [])
    ]
    answers = [[code, each["description"]] for code, each in operation["responses"].items()]
    return section(
        f"{method.upper()} {path}",
        element("p", operation["summary"], "."),
        element("p", operation["description"]) if "description" in operation else None,
        table("Parameters", ["name", "place", "meaning"], parameters, numbers=False, wide=True)
        if parameters
        else None,
        table("Answers", ["status", "content"], answers, numbers=False, wide=True),
    )


def _schema(name: str, schema: Mapping[str, Any]) -> Markup:
    rows = [
        [key, _type(each), each.get("description", "")]
        for key, each in schema.get("properties", {}).items()
    ]
    caption = f"{name}: {schema['description']}"
    return table(caption, ["field", "type", "meaning"], rows, numbers=False, wide=True)


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if "enum" in schema:
        return ", ".join("null" if each is None else str(each) for each in schema["enum"])
    kind = schema.get("type", "any")
    if kind == "array" and "items" in schema:
        return f"list of {_type(schema['items'])}"
    return " or ".join(kind) if isinstance(kind, list) else str(kind)
