"""Programs in Node, the language of many apps, as peers of the tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "node"
"""`package.json` names what the programs need."""

INSTALL = "npm install --prefix tests/node"


def node() -> str:
    """Return the program `node`; skip the test if it, or a package that it needs, is not there."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("Node is not installed")
    if not (FOLDER / "node_modules").is_dir():
        pytest.skip(f"the packages for Node are not installed: run {INSTALL}")
    return program
