"""All kinds of inputs, by name."""

from __future__ import annotations

from tests.fuzz.card import CardKind
from tests.fuzz.case import Kind
from tests.fuzz.edf import EdfKind
from tests.fuzz.events import EventsKind
from tests.fuzz.hypnogram import HypnogramKind
from tests.fuzz.lsl import LslKind
from tests.fuzz.marks import MarksKind
from tests.fuzz.onnx import OnnxKind
from tests.fuzz.store import StoreKind
from tests.fuzz.toml import TomlKind
from tests.fuzz.xml import XmlKind

KINDS: dict[str, type[Kind]] = {
    kind.name: kind
    for kind in (
        EdfKind,
        HypnogramKind,
        XmlKind,
        TomlKind,
        StoreKind,
        CardKind,
        OnnxKind,
        LslKind,
        EventsKind,
        MarksKind,
    )
}
