"""The console script `sleep-train`, called in this process."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import pytest

from offline_training.cli import main


@dataclass
class Program:
    """The console script `sleep-train` as a function."""

    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """Run ``sleep-train arguments``; return exit code, stdout and stderr."""
        self.monkeypatch.setattr(sys, "argv", ["sleep-train", *arguments])
        with pytest.raises(SystemExit) as exit_:
            main()
        return int(exit_.value.code or 0), *self.capsys.readouterr()
