"""Parts of the repository's Markdown pages: code blocks, commands, paragraphs, links, anchors."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

# Rich parses Markdown with markdown-it, a CommonMark parser, and is a dependency of the project.
from rich.markdown import Markdown

if TYPE_CHECKING:
    from markdown_it.token import Token

ROOT = Path(__file__).parent.parent

SHELL = ("sh", "bash", "shell", "console")
"""Languages of a fenced block that holds shell commands. An indented block has no language."""


def pages() -> list[Path]:
    """Return the Markdown pages that git tracks, and new ones that it does not ignore."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"]
    try:
        listed = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        # A copy of the sources without git. Hidden folders, such as .venv, hold others' pages.
        found = (path.relative_to(ROOT) for path in ROOT.rglob("*.md"))
        names = [str(path) for path in found if not any(part[0] == "." for part in path.parts)]
    else:
        names = listed.stdout.split("\0")
    return sorted({ROOT / name for name in names if name and (ROOT / name).is_file()})


def code_blocks(path: Path, language: str) -> list[str]:
    """Return the page's fenced blocks in that language, in order."""
    return [
        token.content
        for token in _tokens(path.read_text(encoding="utf-8"))
        if token.type == "fence" and token.info.strip() == language
    ]


def python_blocks(path: Path) -> list[str]:
    """Return the page's ```python blocks, in order."""
    return code_blocks(path, "python")


def shell_lines(path: Path) -> list[str]:
    """Return the commands of the page's indented and shell blocks, in order.

    Each is one line: continued lines are joined, comments and prompts are removed.
    """
    return commands(path.read_text(encoding="utf-8"))


def commands(markdown: str) -> list[str]:
    """Return the commands of the indented and shell blocks in a piece of Markdown."""
    found = []
    for token in _tokens(markdown):
        shell = token.type == "fence" and token.info.strip() in SHELL
        if shell or token.type == "code_block":
            lines = token.content.replace("\\\n", " ").splitlines()
            found += [_without_comment(line) for line in lines]
    return [" ".join(line.split()) for line in found if line.strip()]


def paragraphs(path: Path) -> list[str]:
    """Return the page's paragraphs, in order: prose and list items, no tables, code, headings.

    Each is the source text of the paragraph on one line. Each list item is a paragraph.
    """
    return [
        " ".join(text.content.split())
        for opening, text in _pairs(path.read_text(encoding="utf-8"))
        if opening.type == "paragraph_open"
    ]


def section(path: Path, heading: str) -> str:
    """Return the Markdown from the heading to the next heading of the same or a higher level.

    Raises
    ------
    KeyError
        If the page has no such heading.
    """
    markdown = path.read_text(encoding="utf-8")
    headings = [
        (opening.map[0], int(opening.tag[1:]), text.content)
        for opening, text in _pairs(markdown)
        if opening.type == "heading_open" and opening.map is not None
    ]
    lines = markdown.splitlines()
    for place, (start, level, title) in enumerate(headings):
        if title == heading:
            later = [line for line, other, _ in headings[place + 1 :] if other <= level]
            return "\n".join(lines[start : later[0] if later else len(lines)])
    raise KeyError(f"{path} has no heading '{heading}'")


def links(path: Path) -> list[str]:
    """Return the targets of the page's links and images, in order."""
    attribute = {"link_open": "href", "image": "src"}
    return [
        str(child.attrs[attribute[child.type]])
        for token in _tokens(path.read_text(encoding="utf-8"))
        for child in token.children or []
        if child.type in attribute
    ]


def anchors(path: Path) -> set[str]:
    """Return the anchors that GitHub makes of the page's headings."""
    found: set[str] = set()
    for opening, text in _pairs(path.read_text(encoding="utf-8")):
        if opening.type == "heading_open":
            words = "".join(child.content for child in text.children or [])
            anchor = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
            # GitHub numbers headings with the same text: #title, #title-1, #title-2.
            same = (f"{anchor}-{number}" if number else anchor for number in range(len(found) + 1))
            found.add(next(each for each in same if each not in found))
    return found


def _tokens(markdown: str) -> list[Token]:
    return Markdown(markdown).parsed


def _pairs(markdown: str) -> Iterator[tuple[Token, Token]]:
    """Yield each token with the one that follows: an opening token with its text."""
    yield from pairwise(_tokens(markdown))


def _without_comment(line: str) -> str:
    return re.sub(r"^\$ ", "", re.sub(r"(^|\s)#(\s.*)?$", "", line.strip()))
