"""EDF+ hypnograms: stages in many words, odd onsets and durations, blind changes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

from models.contract import EPOCH_S, Stage
from monitor.sources.edf import EdfRecording
from monitor.sources.expert import expert_hypnogram, read_hypnogram
from monitor.sources.hypnogram import stages_on_grid
from tests.fuzz import nasty
from tests.fuzz.bounds import check_line
from tests.fuzz.case import Case, Kind
from tests.fuzz.edf_layout import annotation, new_file, new_signal, numbered

RECORDING, FILE = "night.edf", "night-Hypnogram.edf"

WORDS: dict[Stage | None, tuple[str, ...]] = {
    Stage.W: (
        *("Sleep stage W", "Sleep stage 0", "W", "Wake", "wake", "Stage W", "SLEEP-S0", "Wake|0"),
        *("Awake", "Wach", "Sleep stage W@@EEG F4-A1"),
    ),
    Stage.N1: (
        *("Sleep stage 1", "Sleep stage N1", "N1", "S1", "Stage 1", "Sleep stage S1", "SLEEP-S1"),
        *("NREM1", "Stage 1 sleep|1", "Stadium 1"),
    ),
    Stage.N2: (
        *("Sleep stage 2", "Sleep stage N2", "n2", "S2", "Stage N2", "SLEEP-S2", "NREM 2"),
        *("Stage 2 sleep|2", "Sleep_stage_2", "Schlafstadium 2"),
    ),
    Stage.N3: (
        *("Sleep stage 3", "Sleep stage 4", "Sleep stage N3", "N3", "S4", "SLEEP-S3", "SLEEP-S4"),
        *("NREM3", "Stage 4 sleep|4", "SWS"),
    ),
    Stage.R: (
        *("Sleep stage R", "Sleep stage REM", "REM", "R", "rem", "Stage R", "SLEEP-REM"),
        *("REM sleep|5", "Stage REM", "Sleep stage R@@C4-A1"),
    ),
    None: (
        *("Sleep stage ?", "Movement time", "Unscored", "Sleep stage ?@@EEG Fpz-Cz", "SLEEP-MT"),
        *("Movement|6", "Unscored|9", "Artefact"),
    ),
}
"""Words for each stage, from Sleep-EDF, EDF+, CAP, NSRR, Domino and files made by hand."""

STARTS = ("09.03.24", "01.01.85")
"""Dates of recordings: a real one, and the one of anonymised files."""

STAGES = tuple(WORDS)


@dataclass(frozen=True, kw_only=True)
class HypnogramCase(Case):
    """A hypnogram, alone or with its recording.

    - ``stages``: those meant for each epoch; None: the file is too broken.
    - ``told``: True if the user must be told that the clocks of the two files do not compare.
    """

    stages: tuple[Stage | None, ...] | None = None
    told: bool = False


class HypnogramKind(Kind):
    """Hypnograms of EDF+, sound and broken."""

    name = "hypnogram"

    def generate(self, random: Random) -> HypnogramCase:
        stages = [random.choice(STAGES) for _ in range(random.randrange(3, 30))]
        if not any(stages):
            stages[0] = Stage.N2
        match random.randrange(5):
            case 0:
                return _sound(random, stages)
            case 4:
                return _of_a_recording(random, stages)
            case 1:
                return _with_an_odd_word(random, stages)
            case 2:
                return _with_an_odd_list(random, stages)
            case _:
                content, story = _file(_lists(random, stages)), []
                for _ in range(random.choice((1, 1, 2))):
                    content, change = nasty.changed(random, content)
                    story.append(change)
                return HypnogramCase(story=", ".join(story), files={FILE: content})

    def check(self, case: HypnogramCase, folder: Path) -> None:
        if RECORDING in case.files:
            laid = expert_hypnogram(EdfRecording.open(folder / RECORDING))
            assert laid is not None, "the hypnogram beside the recording is not found"
            assert bool(laid.notes) is case.told, f"the notes are {laid.notes}"
            found = laid
        else:
            found = read_hypnogram(folder / FILE)
        assert found.spans, "there is no stage"
        for note in found.notes:
            check_line(note, "a note")
        assert list(found.spans) == sorted(found.spans, key=lambda span: span.onset_s)
        n_epochs = len(case.stages) if case.stages is not None else 2880
        stages = stages_on_grid(found, 0.0, n_epochs)
        assert len(stages) == n_epochs
        if case.stages is not None:
            assert stages == list(case.stages), f"{stages} are read, {case.stages} are meant"


def _sound(random: Random, stages: list[Stage | None]) -> HypnogramCase:
    """Return a hypnogram in one of the ways in which scorers write them."""
    content = _file(_lists(random, stages, style=random.randrange(4)))
    return HypnogramCase(story="sound", files={FILE: content}, sound=True, stages=tuple(stages))


def _of_a_recording(random: Random, stages: list[Stage | None]) -> HypnogramCase:
    """Return a hypnogram that begins later than its recording, as the clocks of both say."""
    # Never at midnight, which anonymised files have in the place of an unknown time.
    begin = datetime(2024, 3, 9, random.randrange(24), random.randrange(60), 7)
    skipped = random.choice((0, 1, 20, 400))
    scored_from = begin + timedelta(seconds=EPOCH_S * skipped)
    dates = [random.choice(STARTS)] * 2
    if random.random() < 0.3:  # one of the two was anonymised
        dates = list(random.sample(STARTS, 2))
    elif dates[0] == STARTS[0]:
        dates[1] = f"{scored_from:%d.%m.%y}"
    n_epochs = skipped + len(stages)
    signal = new_signal("EEG Fpz-Cz", numbered(random, n_epochs, 1))
    files = [
        new_file([signal], record_s=f"{EPOCH_S:g}"),
        new_file([], record_s="0", lists=[annotation("+0", "") + b"".join(_lists(random, stages))]),
    ]
    for file, date, start in zip(files, dates, (begin, scored_from), strict=True):
        file.fields |= {
            "recording": b"",
            "startdate": date.encode(),
            "starttime": f"{start:%H.%M.%S}".encode(),
        }
    return HypnogramCase(
        story=f"{skipped} epochs before it, dates {dates}, from {begin:%H:%M:%S}",
        files={RECORDING: files[0].content(), FILE: files[1].content()},
        sound=True,
        stages=(*[None] * skipped, *stages),
        told=STARTS[1] in dates and dates[0] != dates[1],
    )


def _with_an_odd_word(random: Random, stages: list[Stage | None]) -> HypnogramCase:
    """Return a hypnogram in which one epoch has a word that nobody knows.

    Read by anybody, this epoch is unscored; that is right if a note says so, or if it is refused.
    """
    word = random.choice(("Sleep stage ", "")) + nasty.text(random)[:200]
    place = random.randrange(len(stages))
    lists = _lists(random, stages, style=0)
    lists[place] = annotation(f"+{30 * place}", word, duration="30")
    meant = [*stages[:place], None, *stages[place + 1 :]]
    return HypnogramCase(
        story=f"the word {word[:80]!r}", files={FILE: _file(lists)}, stages=tuple(meant)
    )


def _with_an_odd_list(random: Random, stages: list[Stage | None]) -> HypnogramCase:
    """Return a hypnogram with a list beside the good ones, whose onset or duration is nasty."""
    number = nasty.number(random)[:60]
    word = random.choice(("Arousal", "Lights off", "Sleep stage W"))
    if random.random() < 0.5:
        odd = annotation(f"+{number}", word, duration="30")
    else:
        odd = annotation(f"+{30 * len(stages) + 9000}", word, duration=number)
    lists = _lists(random, stages, style=0)
    lists.insert(random.randrange(len(lists) + 1), odd)
    # A stage in the odd list may lie anywhere, also on good ones.
    meant = tuple(stages) if word != "Sleep stage W" else None
    return HypnogramCase(story=f"the list {odd[:80]!r}", files={FILE: _file(lists)}, stages=meant)


def _lists(random: Random, stages: list[Stage | None], style: int = 0) -> list[bytes]:
    """Return an annotation list for each stage, or for each run of equal ones.

    Styles: 0 a list for each epoch; 1 one for each run; 2 without durations; 3 with other events.
    """
    lists, at = [], 0
    while at < len(stages):
        length = 1
        if style in (1, 2):
            while at + length < len(stages) and stages[at + length] == stages[at]:
                length += 1
        word = random.choice(WORDS[stages[at]])
        duration = None if style == 2 else f"{length * EPOCH_S:g}"
        if style == 2 and at + length == len(stages) and length > 1:
            duration = f"{length * EPOCH_S:g}"  # the last one would count as one epoch
        lists.append(annotation(f"+{at * EPOCH_S:g}", word, duration=duration))
        if style == 3:
            lists.append(annotation(f"+{at * EPOCH_S + 3:g}", "Arousal", duration="5.5"))
        at += length
    return lists


def _file(lists: list[bytes]) -> bytes:
    """Return an EDF+ file of one record that holds nothing but ``lists``."""
    record = annotation("+0", "") + b"".join(lists)
    return new_file([], record_s="0", lists=[record]).content()
