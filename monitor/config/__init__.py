"""The options of a run, and the settings that they come from.

The command line comes before the environment, the environment before one TOML file, the file before
the defaults. Everything is validated here, once. A mistake raises one `InputError` that names the
key and the place where it was set.
"""

from monitor.config.folders import (
    REPLAYS,
    default_config,
    default_exported_folder,
    default_nights_folder,
    default_replays_folder,
    default_web_token,
    private_folder,
)
from monitor.config.options import (
    Grid,
    LiveOptions,
    ReplayOptions,
    RunOptions,
    SleeperOptions,
    Theme,
    parse_grid,
    parse_speed,
)
from monitor.config.reading import config_file, read_settings
from monitor.config.rules import Rule
from monitor.config.settings import NO_REDIS, Settings
from monitor.config.sources import BrainflowConfig, LslConfig
from monitor.config.version import monitor_version
from monitor.config.ways import HttpConfig, LslOutConfig, MqttConfig, OscConfig, WayOptions
from monitor.config.web import AlertConfig, WebAddress, WebConfig, parse_address, web_address

__all__ = [
    "NO_REDIS",
    "REPLAYS",
    "AlertConfig",
    "BrainflowConfig",
    "Grid",
    "HttpConfig",
    "LiveOptions",
    "LslConfig",
    "LslOutConfig",
    "MqttConfig",
    "OscConfig",
    "ReplayOptions",
    "Rule",
    "RunOptions",
    "Settings",
    "SleeperOptions",
    "Theme",
    "WayOptions",
    "WebAddress",
    "WebConfig",
    "config_file",
    "default_config",
    "default_exported_folder",
    "default_nights_folder",
    "default_replays_folder",
    "default_web_token",
    "monitor_version",
    "parse_address",
    "parse_grid",
    "parse_speed",
    "private_folder",
    "read_settings",
    "web_address",
]
