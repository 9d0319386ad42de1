"""The default places of the user's files, in the folders that the system reserves for them."""

from __future__ import annotations

from pathlib import Path

from platformdirs import user_config_path, user_data_path

REPLAYS = "replays"
"""Name of the folder of replays, inside the folder of nights: a replay is no night of its own."""


def default_config() -> Path:
    """Return the file that is read if it exists and no other is named."""
    return user_config_path("sleep-monitor", appauthor=False) / "sleep-monitor.toml"


def default_nights_folder() -> Path:
    """Return the folder for nights without a ``store``. It need not exist."""
    return user_data_path("sleep-monitor", appauthor=False) / "nights"


def default_replays_folder() -> Path:
    """Return the folder for replays that the user keeps. It need not exist."""
    return default_nights_folder() / REPLAYS


def default_exported_folder() -> Path:
    """Return the folder for what `sleep-deploy build-engine` makes for this machine's GPU."""
    return user_data_path("sleep-monitor", appauthor=False) / "exported"


def default_web_token() -> Path:
    """Return the file of the token that opens the page from other machines. It need not exist."""
    return user_data_path("sleep-monitor", appauthor=False) / "web-token"


def private_folder(folder: Path) -> None:
    """Make ``folder``, and those above it that are missing, so that only the user may read them.

    A folder that exists keeps its mode. Raises OSError.
    """
    for each in (*reversed(folder.parents), folder):
        if not each.is_dir():
            each.mkdir(mode=0o700, exist_ok=True)
