"""The XML files are read by our own reader and by YASA, and hold whatever texts there are."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest

from monitor.sources.edf import EdfRecording
from monitor.sources.expert import expert_hypnogram
from tests.exports.nights import COMMAND, N_EPOCHS, NOTE, Made, exported, make_night

FILES = {"nsrr-xml": "-nsrr.xml", "profusion-xml": "-profusion.xml"}


@pytest.fixture
def night(tmp_path: Path) -> Made:
    return make_night(tmp_path / "n.sqlite", datetime(2026, 11, 26, 22, 59, 59, 980000, UTC))


@pytest.mark.parametrize("name", FILES)
def test_our_own_reader_finds_equal_stages_on_equal_times(night: Made, name: str) -> None:
    file = exported(night, name, FILES[name])
    recording = EdfRecording.open(exported(night, "edf", ".edf"))
    hypnogram = expert_hypnogram(recording, file)
    assert hypnogram is not None
    assert [span.onset_s for span in hypnogram.spans] == [30.0 * i for i in range(N_EPOCHS)]
    assert [span.stage for span in hypnogram.spans] == night.stages


@pytest.mark.parametrize("name", FILES)
def test_texts_and_provenance_are_well_formed(night: Made, name: str) -> None:
    text = exported(night, name, FILES[name]).read_text(encoding="utf-8")
    made = re.search("<!-- (.*?) -->", text)
    assert made is not None
    assert "--" not in made[1]
    assert json.loads(made[1])["command"] == COMMAND
    words = [each.text for each in ElementTree.fromstring(text).iter()]
    assert f"Note: {' '.join(NOTE.split())}" in words


def test_yasa_reads_profusion_and_takes_unscored_for_wake(night: Made) -> None:
    """YASA 0.8.1 maps the code 9 to wake. The format `yasa` keeps unscored."""
    yasa = pytest.importorskip("yasa")
    file = exported(night, "profusion-xml", "-profusion.xml")
    found = yasa.Hypnogram.from_profusion(file).as_int().tolist()
    codes = {"W": 0, "N1": 1, "N2": 2, "N3": 3, "R": 4, None: 0}
    assert found == [codes[stage] for stage in night.stages]
