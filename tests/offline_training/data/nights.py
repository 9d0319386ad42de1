"""Small recordings in the format of Sleep-EDF and SHHS, with noise instead of EEG."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.edf_files import Signal, write_edf
from tests.signals import pink_noise_uv

STEP_UV = 0.1


def eeg(label: str, n_epochs: int, sfreq_hz: float = 100.0, seed: int = 1) -> Signal:
    """Make ``n_epochs`` of noise that the monitor scores."""
    uv = pink_noise_uv(round(30 * n_epochs * sfreq_hz), seed)[0]
    return Signal(label, np.round(uv / STEP_UV).astype(np.int64), sfreq_hz, step=STEP_UV)


def stages(*bouts: tuple[int, str]) -> list[tuple[float, float | None, str]]:
    """Make annotations for consecutive bouts of (epochs, text)."""
    annotations: list[tuple[float, float | None, str]] = []
    onset_s = 0.0
    for n_epochs, text in bouts:
        annotations.append((onset_s, 30.0 * n_epochs, text))
        onset_s += 30.0 * n_epochs
    return annotations


NIGHT = (
    (4, "Sleep stage W"),
    (1, "Sleep stage 1"),
    (1, "Sleep stage 2"),
    (1, "Movement time"),
    (1, "Sleep stage 3"),
    (1, "Sleep stage 4"),
    (1, "Sleep stage R"),
    (3, "Sleep stage W"),
    (40, "Sleep stage ?"),  # Hypnograms of Sleep-EDF last 24 h, longer than the recording.
)
NIGHT_EPOCHS = 13
NIGHT_STAGES = [0, 0, 0, 0, 1, 2, -1, 3, 3, 4, 0, 0, 0]


def sleep_edf_night(root: Path, psg: str = "SC4001E0", scorer: str = "C", seed: int = 1) -> None:
    """Write one night as PhysioNet does: recording and hypnogram in the folder of their study."""
    folder = root / ("sleep-cassette" if psg.startswith("SC") else "sleep-telemetry")
    folder.mkdir(parents=True, exist_ok=True)
    slow = Signal("Resp oro-nasal", np.arange(30 * NIGHT_EPOCHS), 1)
    signals = [
        eeg("EEG Fpz-Cz", NIGHT_EPOCHS, seed=seed),
        eeg("EEG Pz-Oz", NIGHT_EPOCHS, seed=seed + 1000),
        eeg("EOG horizontal", NIGHT_EPOCHS, seed=seed + 2000),
        slow,
    ]
    write_edf(folder / f"{psg}-PSG.edf", signals, record_s=30.0)
    write_edf(folder / f"{psg[:-1]}{scorer}-Hypnogram.edf", [], annotations=stages(*NIGHT))


def write_checksums(root: Path, path: Path) -> Path:
    """Write the checksums of all files below ``root``, as `prepare sleep-edf` reads them."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "sha256", "bytes"])
        for each in sorted(root.rglob("*.edf")):
            content = each.read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            rows.writerow([each.relative_to(root).as_posix(), digest, len(content)])
    return path


SHHS_STAGES = [0, 0, 1, 2, 3, 4, 5, 6, 9, 0]
SHHS_EXPECTED = [0, 0, 1, 2, 3, 3, 4, -1, -1, 0]
_CONCEPTS = {
    0: "Wake|0",
    1: "Stage 1 sleep|1",
    2: "Stage 2 sleep|2",
    3: "Stage 3 sleep|3",
    4: "Stage 4 sleep|4",
    5: "REM sleep|5",
    6: "Movement|6",
    9: "Unscored|9",
}


def nsrr_xml(codes: Sequence[int] = SHHS_STAGES) -> str:
    """Make NSRR annotations: bouts of stages, and events of other kinds between them."""
    events = [
        _event("", "Recording Start Time", 0, 30.0 * len(codes)),
        _event("Respiratory|Respiratory", "SpO2 desaturation|SpO2 desaturation", 31.4, 20.5),
        _event("Arousals|Arousals", "Arousal|Arousal ()", 62.1, 6.0),
    ]
    start = 0
    for i in range(1, len(codes) + 1):
        if i == len(codes) or codes[i] != codes[start]:
            concept = _CONCEPTS[codes[start]]
            events.append(_event("Stages|Stages", concept, 30.0 * start, 30.0 * (i - start)))
            events.append(_event("Respiratory|Respiratory", "SDO|SDO", 30.0 * start + 1, 3.0))
            start = i
    return (
        '<?xml version="1.0" encoding="UTF-8" standalone="no"?>\n<PSGAnnotation>'
        "<SoftwareVersion>Compumedics</SoftwareVersion><EpochLength>30</EpochLength>"
        f"<ScoredEvents>{''.join(events)}</ScoredEvents></PSGAnnotation>"
    )


def _event(kind: str, concept: str, start_s: float, duration_s: float) -> str:
    return (
        f"<ScoredEvent><EventType>{kind}</EventType><EventConcept>{concept}</EventConcept>"
        f"<Start>{start_s}</Start><Duration>{duration_s}</Duration></ScoredEvent>"
    )


def profusion_xml(codes: Sequence[int] = SHHS_STAGES) -> str:
    """Make a Compumedics Profusion export."""
    elements = "".join(f"<SleepStage>{code}</SleepStage>" for code in codes)
    return (
        '<?xml version="1.0"?><CMPStudyConfig><EpochLength>30</EpochLength>'
        "<ScoredEvents><ScoredEvent><Name>Arousal</Name></ScoredEvent></ScoredEvents>"
        f"<SleepStages>{elements}</SleepStages></CMPStudyConfig>"
    )


def shhs_night(
    root: Path,
    name: str = "shhs1-200001",
    channels: Sequence[str] = ("EEG(sec)", "EEG"),
    nsrr: bool = True,
    profusion: bool = False,
) -> None:
    """Write one night as the NSRR stores it; channel k is noise of seed k + 1."""
    base, visit = root / "polysomnography", name.partition("-")[0]
    folders = {kind: base / f"annotations-events-{kind}" / visit for kind in ("nsrr", "profusion")}
    for folder in (base / "edfs" / visit, *folders.values()):
        folder.mkdir(parents=True, exist_ok=True)
    signals = [eeg(label, len(SHHS_STAGES), 125.0, k + 1) for k, label in enumerate(channels)]
    percent = sum(name.encode()) % 100  # Makes every file's content different.
    oxygen = Signal("SaO2", np.full(30 * len(SHHS_STAGES), percent), 1, unit="%")
    write_edf(base / "edfs" / visit / f"{name}.edf", [oxygen, *signals], start=None)
    if nsrr:
        (folders["nsrr"] / f"{name}-nsrr.xml").write_text(nsrr_xml())
    if profusion:
        (folders["profusion"] / f"{name}-profusion.xml").write_text(profusion_xml())
