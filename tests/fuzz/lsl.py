"""Descriptions of LSL streams, as liblsl itself parses them and hands them on."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any
from xml.sax.saxutils import escape

import numpy as np

from monitor.lsl_library import load_pylsl
from monitor.sources.lsl.metadata import UnreadableStreamError, layout_of, stream_of
from monitor.types import MAX_SFREQ_HZ
from tests.fuzz import nasty
from tests.fuzz.bounds import check_line
from tests.fuzz.case import Case, Kind

FILE = "stream.xml"
UNITS = {
    "microvolts": 1.0,
    "uV": 1.0,
    "µV": 1.0,
    "mV": 1e3,
    "volts": 1e6,
    "V": 1e6,
    "nanovolts": 1e-3,
    "mVolt": 1e3,
    "-6": 1.0,
    "-3": 1e3,
    "0": 1e6,
}
NAMES = ("TP9", "AF7", "AF8", "TP10", "Fpz-Cz", "C3", "Größe", "O1'")


@dataclass(frozen=True, kw_only=True)
class LslCase(Case):
    """A description. ``names`` and ``scale`` are those of the EEG channels meant."""

    names: tuple[str, ...] = ()
    scale: float = 1.0


class LslKind(Kind):
    """Descriptions of streams by their senders."""

    name = "lsl"

    def __init__(self) -> None:
        self._pylsl = load_pylsl()

    def generate(self, random: Random) -> LslCase:
        names = random.sample(NAMES, random.randrange(1, 6))
        unit = random.choice(list(UNITS))
        fields = {
            "name": "Muse",
            "type": "EEG",
            "channel_count": str(len(names)),
            "nominal_srate": "256",
            "channel_format": "float32",
            "source_id": "abc",
        }
        sound = random.random() < 0.2
        story = "sound"
        labels: list[str] = list(names)
        if not sound:
            match random.randrange(5):
                case 0 | 1:
                    key = random.choice(list(fields))
                    fields[key] = random.choice((nasty.number, nasty.text))(random)
                    story = f"{key} is {fields[key]!r:.60}"
                case 2:
                    label = nasty.text(random)[:3000]
                    labels[0] = label
                    story = f"a channel is called {label!r:.60}"
                case 3:
                    number = random.choice((0, 300, 3000))
                    labels = [random.choice((names[0], "", "A.2"))] * number
                    if random.random() < 0.7:
                        fields["channel_count"] = str(number)
                    story = f"{number} channels are called {labels[:1]}"
                case _:
                    unit = random.choice((nasty.number, nasty.text))(random)[:3000]
                    story = f"the unit is {unit!r:.60}"
        text = _xml(fields, labels, unit)
        content = text.encode("utf-8", "surrogatepass")
        if not sound and random.random() < 0.3:
            content, change = nasty.changed(random, content)
            story = f"{story}, {change}"
        return LslCase(
            story=story,
            files={FILE: content},
            sound=sound,
            names=tuple(names) if sound else (),
            scale=UNITS.get(unit, 1.0),
        )

    def check(self, case: LslCase, folder: Path) -> None:
        info = self._info(case.files[FILE])
        stream = stream_of(info)
        texts = (stream.name, stream.type, stream.source_id, stream.host, stream.unit)
        for text in (*texts, *stream.channels):
            check_line(f"'{text}'", "a text of the stream")
        check_line(str(stream), "the stream")
        if stream.problem:
            check_line(stream.problem, "the problem of the stream")
            raise UnreadableStreamError(stream.problem)
        assert 0 <= stream.sfreq_hz <= MAX_SFREQ_HZ, f"{stream.sfreq_hz} Hz is accepted"
        assert len(set(stream.channels)) == len(stream.channels), "channels share a name"
        layout = layout_of(info.as_xml(), None)
        assert len(layout.names) == len(layout.columns) == layout.scale.size > 0
        assert len(set(layout.names)) == len(layout.names), "channels share a name"
        assert max(layout.columns) < info.channel_count(), "a column is beyond the sample"
        assert np.isfinite(layout.scale).all(), f"the scale is {layout.scale}"
        assert (layout.scale > 0).all(), f"the scale is {layout.scale}"
        for note in layout.notes:
            check_line(note, "a note")
        if case.sound:
            assert layout.names == case.names, f"{layout.names} are read"
            np.testing.assert_allclose(layout.scale, case.scale)
            assert stream.sfreq_hz == 256.0
            assert not layout.notes, f"a sound stream has a note: {layout.notes}"

    def _info(self, xml: bytes) -> Any:
        """Return the description as liblsl understands it."""
        from_xml = self._pylsl.lib.lib.lsl_streaminfo_from_xml
        from_xml.restype = ctypes.c_void_p
        handle = from_xml(xml.replace(b"\0", b""))
        return self._pylsl.StreamInfo(handle=handle)


def _xml(fields: dict[str, str], labels: list[str], unit: str) -> str:
    channels = "".join(
        f"<channel><label>{escape(label)}</label><unit>{escape(unit)}</unit>"
        "<type>EEG</type></channel>"
        for label in labels
    )
    head = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in fields.items())
    return (
        f'<?xml version="1.0"?><info>{head}<version>1.1</version><created_at>1.5</created_at>'
        "<uid>6c2f9a2e-1111-4444-8888-000000000000</uid><session_id>default</session_id>"
        "<hostname>host</hostname><v4address/><v4data_port>1</v4data_port>"
        "<v4service_port>1</v4service_port><v6address/><v6data_port>0</v6data_port>"
        "<v6service_port>0</v6service_port>"
        f"<desc><channels>{channels}</channels></desc></info>"
    )
