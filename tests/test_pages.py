"""The pages are true: examples run, commands parse, figures hold, links resolve; and short."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import typer

from monitor.programs import COMMANDS
from tests.pages import (
    ROOT,
    anchors,
    code_blocks,
    links,
    pages,
    paragraphs,
    python_blocks,
    section,
    shell_lines,
)

README = ROOT / "README.md"
EXCERPT = str(ROOT / "monitor" / "demo" / "excerpt.edf")
README_WORDS = 900
README_LINES_TO_A_RESULT = 25
PARAGRAPH_WORDS = 80

RUN_ELSEWHERE = {
    # Both examples need an event server; each of these tests starts one and runs one example.
    "monitor/sinks/EVENTS.md": ("tests/sinks/test_watch.py", "tests/sinks/test_marks.py"),
    # Each example is an app, to which a night is sent.
    "monitor/sinks/WAYS.md": ("tests/sinks/ways/test_ways_page.py",) * 3,
    # Each example is a program of its own, whose output the test checks.
    "monitor/sources/ADDING.md": ("tests/sources/test_adding_page.py",) * 2,
}
"""Pages whose Python blocks other tests run: one test file for each block."""

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


every_page = pytest.mark.parametrize("page", pages(), ids=name)


def page_of(text: str, folder: Path) -> Path:
    """Write a made-up page."""
    path = folder / "PAGE.md"
    path.write_text(text, encoding="utf-8")
    return path


# Python blocks


def run_python_blocks(page: Path, folder: Path) -> None:
    """Run the blocks of a page as one script, as a reader who copies them would."""
    script = folder / "page.py"
    script.write_text("\n".join(python_blocks(page)), encoding="utf-8")
    runpy.run_path(str(script), run_name="__main__")


@pytest.mark.parametrize(
    "page",
    [page for page in pages() if python_blocks(page) and name(page) not in RUN_ELSEWHERE],
    ids=name,
)
def test_python_blocks_run_as_they_stand(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(EXCERPT, tmp_path / "night.edf")  # the pages' name for the reader's recording
    for kind in ("CONFIG", "DATA", "CACHE"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(tmp_path / kind.lower()))
    run_python_blocks(page, tmp_path)


def test_a_block_that_uses_a_missing_name_fails(tmp_path: Path) -> None:
    page = page_of("```python\nx = 1\n```\n\nThen:\n\n```python\nx + y\n```\n", tmp_path)
    with pytest.raises(NameError, match="'y'"):
        run_python_blocks(page, tmp_path)


@pytest.mark.parametrize("page", RUN_ELSEWHERE)
def test_each_block_that_is_run_elsewhere_has_its_test(page: str) -> None:
    tests = RUN_ELSEWHERE[page]
    assert len(python_blocks(ROOT / page)) == len(tests)
    for test in tests:
        assert Path(page).name in (ROOT / test).read_text(encoding="utf-8")


# Shell lines


def problem_of(command: str) -> str | None:
    """Check a command without running it: return what is wrong with it, or None."""
    for part in command.split("&&"):
        program, *arguments = shlex.split(part)
        program = Path(program).name
        if program in PROJECT["scripts"]:
            problem = problem_of_arguments(program, arguments)
        elif program == "pip":
            problem = problem_of_installation(arguments)
        elif program in ("python", "python3") and arguments[:1] == ["-m"]:
            problem = None if find_spec(arguments[1]) else f"no module {arguments[1]}"
        else:
            problem = f"this test cannot check {program}"
        if problem:
            return problem
    return None


def problem_of_arguments(program: str, arguments: list[str]) -> str | None:
    """Parse arguments with the program's own command line, whose commands then do nothing."""
    module = import_module(COMMANDS[program])
    command = typer.main.get_command(module.app)
    disarm(command)
    try:
        command.main(arguments, prog_name=program)
    except SystemExit as stop:
        return f"exit status {stop.code}" if stop.code else None
    raise AssertionError("a command line always exits")


def disarm(command: Any) -> None:
    """Replace what the command and the commands below it do. `get_command` builds new ones."""
    command.callback = lambda **options: None
    for below in getattr(command, "commands", {}).values():
        disarm(below)


def problem_of_installation(arguments: list[str]) -> str | None:
    """Check that a `pip install` of this folder asks for extras that the project has."""
    folder = re.fullmatch(r"\.(?:\[(.*)\])?", arguments[-1])
    if arguments[0] != "install" or folder is None:
        return "not an installation of this folder"
    extras = folder[1].split(",") if folder[1] else []
    missing = [extra for extra in extras if extra not in PROJECT["optional-dependencies"]]
    return f"no extra {missing}" if missing else None


@pytest.mark.parametrize("command", shell_lines(README))
def test_commands_of_the_readme_parse(command: str) -> None:
    """.ci/run runs the command for development as it stands, in a new environment."""
    assert problem_of(command) is None


@pytest.mark.parametrize(
    ("page", "command"),
    [
        pytest.param(page, command, id=f"{name(page)}: {command}")
        for page in pages()
        for command in shell_lines(page)
        if page != README and command.split()[0] in PROJECT["scripts"] and "[" not in command
    ],
)
def test_commands_of_other_pages_parse(page: Path, command: str) -> None:
    """Commands of this project's programs; others, and those with [OPTIONAL] parts, are not."""
    assert problem_of(command) is None


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("sleep-monitor replay night.edf --sped 60", "exit status 2"),
        ("sleep-monitor replay", "exit status 2"),
        ("sleep-monitor replai night.edf", "exit status 2"),
        ("sleep-monitor live emotiv", "exit status 2"),
        (".venv/bin/pip install '.[nothing]'", "no extra ['nothing']"),
        ("pip install . && python -m no_such_module", "no module no_such_module"),
        ("sleep-monitors demo", "this test cannot check sleep-monitors"),
    ],
)
def test_a_wrong_command_is_found(command: str, problem: str) -> None:
    assert problem_of(command) == problem


def test_ci_finds_the_test_command_of_the_readme() -> None:
    assert r"sed -n 's/^    \(.*pytest\)$/\1/p' README.md" in (ROOT / ".ci/run").read_text()
    (found,) = re.findall(r"^ {4}(.*pytest)$", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert found in shell_lines(README)


def test_the_readme_soon_reaches_a_result() -> None:
    first = README.read_text(encoding="utf-8").splitlines()[:README_LINES_TO_A_RESULT]
    assert any(line.startswith("    ") and line.endswith("sleep-monitor demo") for line in first)


# Figures


@pytest.mark.parametrize(
    ("arguments", "row"),
    [
        (["demo"], "{track}"),
        (["replay", EXCERPT, "--no-redis", "--gain", "unknown"], "{track}, `--gain unknown`"),
    ],
    ids=["demo", "gain unknown"],
)
def test_the_demo_has_the_figures_of_the_readme(
    arguments: list[str], row: str, tmp_path: Path
) -> None:
    """Run the README's main command for real; `demo` and `replay` of its recording agree."""
    own = {name: value for name, value in os.environ.items() if "SLEEP_MONITOR_" not in name}
    folders = {f"XDG_{kind}_HOME": str(tmp_path) for kind in ("CONFIG", "DATA")}
    run = subprocess.run(
        [sys.executable, "-m", "monitor.cli", *arguments],
        env=own | folders | {"PYTHONUTF8": "1"},
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
    )
    assert run.returncode == 0, run.stderr
    readme = README.read_text(encoding="utf-8")
    for track in ("live", "revised"):
        (figures,) = re.findall(rf"│ {track} +│ +(\S+) │ +(\S+) │ +(\S+) │", run.stdout)
        assert f"| {row.format(track=track)} | {' | '.join(figures)} |" in readme


# Words


def long_paragraphs(page: Path) -> list[str]:
    """Return the paragraphs above the limit, each with its number of words."""
    counted = [(len(text.split()), text) for text in paragraphs(page)]
    return [f"{words} words: {text}" for words, text in counted if words > PARAGRAPH_WORDS]


@every_page
def test_no_paragraph_is_long(page: Path) -> None:
    assert long_paragraphs(page) == []


def test_a_long_paragraph_is_found_in_prose_and_in_a_list(tmp_path: Path) -> None:
    limit, above = "word " * PARAGRAPH_WORDS, "word\n" * (PARAGRAPH_WORDS + 1)
    indented = above.replace("\n", "\n  ")
    text = f"{limit}\n\n- {limit}\n- {indented}\n\n{above}\n\n    {limit * 2}\n\n## {limit * 2}\n"
    found = long_paragraphs(page_of(text, tmp_path))
    assert [each.partition(":")[0] for each in found] == ["81 words", "81 words"]


def test_the_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").split()) <= README_WORDS


# Links


def dead_links(page: Path) -> list[str]:
    """Return the links of a page whose file or heading does not exist. Web links are not tried."""
    dead = []
    for link in links(page):
        if re.match(r"[a-z][a-z0-9+.-]*:", link):
            continue
        file, _, anchor = unquote(link).partition("#")
        target = (page.parent / file) if file else page
        if not target.exists() or (
            anchor and (target.suffix != ".md" or anchor not in anchors(target))
        ):
            dead.append(link)
    return dead


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    assert dead_links(page) == []


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    text = """# A page

    [not](a-link.md)

## `Code` & more, twice

## Code  more twice

[page](PAGE.md) [top](#a-page) [code](PAGE.md#code--more-twice) [web](https://example.org/x#y)
![picture](none.svg) | [none](none.md) | [heading](#none) | [part](PAGE.md#none)

| [in a table](table.md) |
|---|
"""
    found = dead_links(page_of(text, tmp_path))
    assert found == ["none.svg", "none.md", "#none", "PAGE.md#none", "table.md"]


# Particular pages


def test_the_picture_of_the_monitor_names_every_room() -> None:
    picture, *_ = code_blocks(ROOT / "monitor" / "README.md", "mermaid")
    rooms = [path.parent.name for path in (ROOT / "monitor").glob("*/__init__.py")]
    assert rooms
    assert [room for room in rooms if f"{room}/" not in picture] == []


def test_the_names_of_the_public_api_exist() -> None:
    text = section(ROOT / "monitor" / "README.md", "Public API")
    found = re.findall(r"((?:`\w+`(?: and )?)+) \(`((?:monitor|models)\.[\w.]+)`\)", text)
    assert found
    for names, module in found:
        for each in re.findall(r"\w+", names.replace(" and ", " ")):
            assert hasattr(import_module(module), each), f"{module}.{each}"


def test_pre_commit_runs_the_checks_of_ci() -> None:
    checks = re.findall(r"^\.venv/bin/.+$", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert checks
    assert re.findall(r"entry: (.+)", hooks) == checks
