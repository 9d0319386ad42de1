"""The rules of CONTRIBUTING.md that a program can check."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.source_tree import PACKAGES, ROOT, imports, modules

RIDDLES = {"How", "One", "That", "What", "When", "Where", "Whether", "Which", "Who", "Whose"}
"""First words of sentences that say neither what a thing does nor what it is."""

MODULES = [pair for package in PACKAGES for pair in modules(package)]
WAITS_AND_CLOCKS = ("time.monotonic", "time.time", "time.sleep", "time.perf_counter")

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def nodes(path: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def test_no_two_public_classes_share_a_name() -> None:
    homes: dict[str, list[str]] = defaultdict(list)
    for module, path in MODULES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(module)
    assert {name: home for name, home in homes.items() if len(home) > 1} == {}


@pytest.mark.parametrize("package", [*PACKAGES, "tests"])
def test_the_first_line_of_a_docstring_says_what_the_thing_does_or_is(package: str) -> None:
    riddles = []
    for module, path in modules(package):
        for node in nodes(path):
            if isinstance(node, Documented) and (text := ast.get_docstring(node)):
                first_word = text.split()[0].rstrip(",:")
                if first_word in RIDDLES:
                    riddles.append(f"{module}: {text.splitlines()[0]}")
    assert riddles == []


def test_loggers_have_one_name() -> None:
    for module, path in MODULES:
        for node in nodes(path):
            if isinstance(node, ast.Assign) and "getLogger(__name__)" in ast.unparse(node.value):
                assert ast.unparse(node.targets[0]) == "_log", module


def test_sinks_take_the_time_from_a_clock() -> None:
    for module, path in modules("monitor/sinks"):
        used = {ast.unparse(node) for node in nodes(path) if isinstance(node, ast.Attribute)}
        assert not used & set(WAITS_AND_CLOCKS), module


def test_tests_import_helpers_from_helper_modules() -> None:
    """A module of tests is imported by pytest alone, so that each test runs once."""
    for path in sorted((ROOT / "tests").rglob("*.py")):
        from_tests = [
            name
            for name in imports(path)
            if name.startswith("tests.")
            and any(part.startswith("test_") for part in name.split("."))
        ]
        assert from_tests == [], path
