"""Stages in XML, of NSRR and Profusion: odd codes and numbers, blind changes, XML built to hurt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random
from xml.sax.saxutils import escape

from models.contract import Stage
from monitor.sources.hypnogram import stages_on_grid
from monitor.sources.xml_stages import read_xml_stages
from tests.fuzz import nasty
from tests.fuzz.case import Case, Kind

FILE = "night.xml"
CODES: dict[Stage | None, tuple[str, ...]] = {
    Stage.W: ("0",),
    Stage.N1: ("1",),
    Stage.N2: ("2",),
    Stage.N3: ("3", "4"),
    Stage.R: ("5",),
    None: ("6", "9"),
}
NAMES = {
    "0": "Wake|0",
    "1": "Stage 1 sleep|1",
    "2": "Stage 2 sleep|2",
    "3": "Stage 3 sleep|3",
    "4": "Stage 4 sleep|4",
    "5": "REM sleep|5",
    "6": "Movement|6",
    "9": "Unscored|9",
}
OTHER_EVENTS = (
    ("Arousals|Arousals", "Arousal|Arousal ()"),
    ("Respiratory|Respiratory", "SpO2 desaturation|SpO2 desaturation"),
    ("Limb Movements|Limb Movements", "Periodic limb movement|3"),
)
"""Types and concepts of events that are no stages."""

BOMB = (
    '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaaaaaaaa">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 16}">' for a, b in zip("abcdefg", "bcdefgh", strict=True))
    + "]>"
)


@dataclass(frozen=True, kw_only=True)
class XmlCase(Case):
    """A file of stages. ``stages`` are those meant for each epoch; None: too broken to say."""

    stages: tuple[Stage | None, ...] | None = None


class XmlKind(Kind):
    """XML hypnograms, sound and broken."""

    name = "xml"

    def generate(self, random: Random) -> XmlCase:
        stages = [random.choice(tuple(CODES)) for _ in range(random.randrange(2, 20))]
        codes = [random.choice(CODES[stage]) for stage in stages]
        profusion = random.random() < 0.5
        text = _profusion(codes) if profusion else _nsrr(random, codes)
        match random.randrange(5):
            case 0:
                content = _encoded(random, text)
                return XmlCase(
                    story="sound", files={FILE: content}, sound=True, stages=tuple(stages)
                )
            case 1:
                text, story = _odd_value(random, text)
            case 2:
                text, story = _hurtful(random, text)
            case _:
                content, story = nasty.changed(random, text.encode())
                return XmlCase(story=story, files={FILE: content})
        return XmlCase(story=story, files={FILE: text.encode("utf-8", "surrogatepass")})

    def check(self, case: XmlCase, folder: Path) -> None:
        found = read_xml_stages(folder / FILE)
        assert found.spans, "there is no stage"
        n_epochs = 2880 if case.stages is None else len(case.stages)
        stages = stages_on_grid(found, 0.0, n_epochs)
        if case.stages is not None:
            assert stages == list(case.stages), f"{stages} are read, {case.stages} are meant"


def _nsrr(random: Random, codes: list[str]) -> str:
    events, at = [], 0
    while at < len(codes):
        length = 1
        while at + length < len(codes) and codes[at + length] == codes[at]:
            length += 1
        events.append(_event("Stages|Stages", NAMES[codes[at]], 30.0 * at, 30.0 * length))
        if random.random() < 0.3:
            events.append(_event(*random.choice(OTHER_EVENTS), 30.0 * at + 3, 5.5))
        at += length
    body = "".join(events)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<PSGAnnotation><EpochLength>30</EpochLength>'
        f"<ScoredEvents>{body}</ScoredEvents></PSGAnnotation>"
    )


def _event(kind: str, concept: str, start_s: float, duration_s: float) -> str:
    return (
        f"<ScoredEvent><EventType>{kind}</EventType><EventConcept>{concept}</EventConcept>"
        f"<Start>{start_s}</Start><Duration>{duration_s}</Duration></ScoredEvent>\n"
    )


def _profusion(codes: list[str]) -> str:
    body = "".join(f"<SleepStage>{code}</SleepStage>\n" for code in codes)
    return (
        '<?xml version="1.0"?><CMPStudyConfig><EpochLength>30</EpochLength>'
        f"<SleepStages>{body}</SleepStages></CMPStudyConfig>"
    )


def _encoded(random: Random, text: str) -> bytes:
    """Return ``text`` as programs write it: UTF-8 with a mark, UTF-16, Latin-1 with a remark."""
    _, _, body = text.partition("?>")
    match random.randrange(4):
        case 0:
            return b"\xef\xbb\xbf" + text.encode()
        case 1:
            return ('<?xml version="1.0" encoding="UTF-16"?>' + body).encode("utf-16")
        case 2:
            remark = "<!-- Größe: µV -->"
            return f'<?xml version="1.0" encoding="ISO-8859-1"?>{remark}{body}'.encode("latin-1")
        case _:
            return text.encode()


def _odd_value(random: Random, text: str) -> tuple[str, str]:
    """Replace the text of one element by something nasty."""
    starts = [at for at, letter in enumerate(text) if letter == ">" and text[at + 1 : at + 2] != ""]
    at = random.choice(starts) + 1
    end = text.find("<", at)
    value = random.choice((nasty.number, nasty.text))(random)
    if random.random() < 0.8:
        value = escape(value)
    return text[:at] + value + text[max(at, end) :], f"the text {value[:60]!r} at {at}"


def _hurtful(random: Random, text: str) -> tuple[str, str]:
    """Return XML that is built to fill the memory, the stack or the time."""
    head, _, body = text.partition("?>")
    match random.randrange(6):
        case 0:
            return f"{head}?>{BOMB}{body}".replace("Wake", "&h;"), "entities that multiply"
        case 1:
            depth = random.choice((100, 10_000, 200_000))
            return "<a>" * depth + "</a>" * depth, f"{depth} elements inside each other"
        case 2:
            path = "file:///etc/passwd"
            return f'{head}?><!DOCTYPE a SYSTEM "{path}">{body}', "a document type elsewhere"
        case 3:
            return body.replace("<", "<x:"), "a name space that is not declared"
        case 4:
            many = "".join(f' a{n}="{n}"' for n in range(5000))
            return f"<PSGAnnotation{many}></PSGAnnotation>", "5,000 attributes"
        case _:
            name = random.choice(("a" * 5000, "\u202eevil", "a\u0301"))
            return f"<{name}></{name}>", f"a root called {name[:20]!r}"
