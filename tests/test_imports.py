"""Imports run one way: models, monitor, offline_training, deploy; and inside the monitor too."""

from __future__ import annotations

from tests.source_tree import PACKAGES, imports, modules

# Inside the monitor, each room may import those before it (and the ground: the plain modules).
GROUND = [
    "monitor.types",
    "monitor.errors",
    "monitor.closing",
    "monitor.clock",
    "monitor.backoff",
    "monitor.text",
    "monitor.units",
    "monitor.programs",
    "monitor.child_programs",
    "monitor.lsl_library",
    "monitor.config",
]
ROOMS = [
    "monitor.sources",
    "monitor.conditioning",
    "monitor.staging",
    "monitor.night",
    "monitor.sinks",
    "monitor.client",
    "monitor.exports",
    "monitor.report",
    "monitor.rules",
    "monitor.pipeline",
    "monitor.composition",
    "monitor.recorded_night",
    "monitor.replay",
    "monitor.scoring",
    "monitor.alerts",
    "monitor.web",
    "monitor.live",
    "monitor.doctor",
    "monitor.cli",
]
SESSION_PARTS = ["monitor.sources", "monitor.staging", "monitor.night", "monitor.sinks"]
ALLOWED = {
    "monitor.sources": [],
    "monitor.conditioning": [],
    "monitor.staging": ["monitor.sources", "monitor.conditioning"],
    "monitor.night": [],
    "monitor.sinks": ["monitor.night"],
    "monitor.client": ["monitor.night", "monitor.sinks"],
    "monitor.exports": ["monitor.sources", "monitor.night", "monitor.sinks"],
    "monitor.report": ["monitor.sources", "monitor.night", "monitor.sinks"],
    "monitor.rules": ["monitor.night", "monitor.sinks", "monitor.report"],
    "monitor.pipeline": ["monitor.conditioning", "monitor.staging", "monitor.night"],
    "monitor.composition": [
        "monitor.conditioning",
        "monitor.staging",
        "monitor.night",
        "monitor.sinks",
        "monitor.pipeline",
    ],
    "monitor.recorded_night": [
        "monitor.sources",
        "monitor.staging",
        "monitor.night",
        "monitor.pipeline",
        "monitor.composition",
    ],
    "monitor.replay": [
        "monitor.sources",
        "monitor.night",
        "monitor.sinks",
        "monitor.pipeline",
        "monitor.composition",
        "monitor.recorded_night",
    ],
    "monitor.scoring": [
        *SESSION_PARTS,
        "monitor.exports",
        "monitor.composition",
        "monitor.recorded_night",
    ],
    "monitor.alerts": ["monitor.night", "monitor.sinks"],
    "monitor.web": ["monitor.night", "monitor.sinks", "monitor.report"],
    "monitor.live": [
        *SESSION_PARTS,
        "monitor.report",
        "monitor.rules",
        "monitor.alerts",
        "monitor.web",
        "monitor.conditioning",
        "monitor.pipeline",
        "monitor.composition",
    ],
    "monitor.doctor": ["monitor.sources", "monitor.staging", "monitor.sinks"],
    "monitor.cli": [
        "monitor.sources",
        "monitor.night",
        "monitor.sinks",
        "monitor.exports",
        "monitor.report",
        "monitor.rules",
        "monitor.replay",
        "monitor.scoring",
        "monitor.web",
        "monitor.live",
        "monitor.doctor",
    ],
}
PACKAGE = "monitor.__init__"
"""The package itself offers `monitor.score`, and imports it when it is asked for."""


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def test_packages_import_only_those_before_them() -> None:
    for place, package in enumerate(PACKAGES):
        later = [*PACKAGES[place + 1 :], "tests"]
        for module, path in modules(package):
            backward = [i for i in imports(path) if any(within(i, p) for p in later)]
            assert not backward, f"{module} imports {backward}"


def test_rooms_of_the_monitor_import_only_rooms_that_flow_into_them() -> None:
    for module, path in modules("monitor"):
        room = next((room for room in ROOMS if within(module, room)), None)
        allowed = [*GROUND, room, *ALLOWED[room]] if room else GROUND
        if module == PACKAGE:
            allowed = ["monitor.scoring"]
        wrong = [
            i
            for i in imports(path)
            if i.startswith("monitor.") and not any(within(i, a) for a in allowed if a)
        ]
        assert not wrong, f"{module} imports {wrong}"


def test_every_allowed_import_is_used() -> None:
    """The table stays as narrow as the rooms are."""
    for room, allowed in ALLOWED.items():
        used = {
            i for module, path in modules("monitor") if within(module, room) for i in imports(path)
        }
        unused = [a for a in allowed if not any(within(i, a) for i in used)]
        assert not unused, f"{room} imports nothing from {unused}"


def test_models_need_no_signal_or_server_library() -> None:
    for module, path in modules("models"):
        roots = {name.partition(".")[0] for name in imports(path)}
        assert not roots & {"mne", "scipy", "redis", "rich", "typer"}, module
