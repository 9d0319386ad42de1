"""Pick the sleep stages among the annotations of a file, and name those that are not known."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from models.contract import EPOCH_S
from monitor.errors import InputError
from monitor.sources.hypnogram import StageSpan, majority_phase_s
from monitor.sources.recording import Annotation
from monitor.sources.stage_words import StageWord, looks_like_a_stage, stage_word

_Stage = tuple[Annotation, StageWord]

_TICK_S = 0.01
"""Times that differ by less than this are one."""

_NAMED = 5
"""Unknown words that a message names, the most frequent first."""


@dataclass(frozen=True, slots=True)
class StageAnnotations:
    """The stages of a file.

    - ``spans`` are in time order; a stage that is not known counts as unscored.
    - ``unknown``: texts that stand where stages stand and are not known, with their counts.
    """

    spans: tuple[StageSpan, ...]
    unknown: Counter[str]

    @property
    def unknown_words(self) -> str:
        """The unknown texts for a message: 'Sleep stage X' (8 times), ..."""
        named = [f"'{text}' ({_times(n)})" for text, n in self.unknown.most_common(_NAMED)]
        rest = len(self.unknown) - len(named)
        return ", ".join(named) + (f" and {rest} more" if rest else "")


def pick_stages(path: Path, annotations: Iterable[Annotation]) -> StageAnnotations:
    """Return the stages among ``annotations``, which are in time order.

    Raises `InputError` if the stages are numbers and 4 may be N3 or R.
    """
    events: list[Annotation] = []
    words: list[_Stage] = []
    for annotation in annotations:
        word = stage_word(annotation.text)
        if word is None:
            events.append(annotation)
        else:
            words.append((annotation, word))
    words = _without_events(words)
    words = _with_strangers(words, events)
    _check_numbers(path, [word for _, word in words])
    spans = _with_durations([StageSpan(a.onset_s, a.duration_s, word.stage) for a, word in words])
    unknown = Counter(a.text for a, word in words if not word.known)
    unknown.update(_in_other_words(events, spans))
    return StageAnnotations(spans, unknown)


def _without_events(words: list[_Stage]) -> list[_Stage]:
    """Leave out texts such as 'R' and '1' that stand where no stage stands.

    A trigger or a remark may have such a text. It is a stage if it lasts an epoch, or if it states
    no duration and lies on the 30-s grid of the stages, as all such texts of this file do.
    """
    if not words:
        return words
    phase_s = majority_phase_s(a.onset_s for a, _ in words)

    def on_grid(annotation: Annotation) -> bool:
        off_s = (annotation.onset_s - phase_s) % EPOCH_S
        return min(off_s, EPOCH_S - off_s) < _TICK_S

    brief = [(a, w) for a, w in words if not w.certain and a.duration_s == 0]
    marks_stages = all(on_grid(a) for a, w in brief if w.stage is not None)
    return [
        (a, w)
        for a, w in words
        if w.certain
        or a.duration_s > EPOCH_S - _TICK_S
        or (a.duration_s == 0 and on_grid(a) and marks_stages)
    ]


def _with_strangers(words: list[_Stage], events: Sequence[Annotation]) -> list[_Stage]:
    """Add the events that look like stages to ``words``, if stages last until the next one.

    Such a stage would otherwise count as the one before it. It is one that is not known.
    """
    if not any(a.duration_s == 0 and w.certain for a, w in words):
        return words
    strangers = [
        (a, StageWord(a.text, prefixed=False))
        for a in events
        if a.duration_s == 0 and looks_like_a_stage(a.text)
    ]
    return sorted([*words, *strangers], key=lambda each: each[0].onset_s)


def _check_numbers(path: Path, words: Sequence[StageWord]) -> None:
    """Raise `InputError` if nothing tells R&K numbers (4 is N3) from those of AASM (4 is REM)."""
    scored = [word for word in words if word.stage is not None]
    codes = {word.code for word in scored}
    if "4" in codes and "5" not in codes and all(word.is_number for word in scored):
        raise InputError(
            f"{path} has stages in numbers up to 4, which is N3 in some programs and REM in "
            "others: write them as words, such as 'Sleep stage N3'"
        )


def _with_durations(spans: list[StageSpan]) -> tuple[StageSpan, ...]:
    """Give each stage without a duration one: until the next stage, or an epoch.

    If such a file repeats a stage an epoch later, it has an entry for each epoch. Then a stage
    lasts an epoch, and an epoch without entry has no stage.
    """
    each_epoch = any(
        a.stage is b.stage and a.duration_s == 0 and abs(b.onset_s - a.onset_s - EPOCH_S) < _TICK_S
        for a, b in pairwise(spans)
    )
    longest_s = EPOCH_S if each_epoch else math.inf
    ends_s = [span.onset_s for span in spans[1:]] + [spans[-1].onset_s + EPOCH_S] if spans else []
    return tuple(
        span
        if span.duration_s > 0
        else replace(span, duration_s=min(end_s - span.onset_s, longest_s))
        for span, end_s in zip(spans, ends_s, strict=True)
    )


def _in_other_words(events: Sequence[Annotation], spans: Sequence[StageSpan]) -> list[str]:
    """Return the texts of ``events`` that fill whole epochs of the grid which no span scores.

    They are stages in words, or a language, that the table lacks.
    """
    phase_s = majority_phase_s([s.onset_s for s in spans] or [e.onset_s for e in events])
    scored = sorted((s.onset_s, s.end_s) for s in spans)
    texts, at = [], 0
    reached_s = float("-inf")  # the end of the spans that begin before the event ends
    for event in events:
        end_s = event.onset_s + event.duration_s
        if event.duration_s < EPOCH_S - _TICK_S or not _whole_epochs(event, phase_s):
            continue
        while at < len(scored) and scored[at][0] < event.onset_s + _TICK_S:
            reached_s = max(reached_s, scored[at][1])
            at += 1
        follows = at == len(scored) or scored[at][0] > end_s - _TICK_S
        if follows and reached_s < event.onset_s + _TICK_S:
            texts.append(event.text)
    return texts


def _whole_epochs(event: Annotation, phase_s: float) -> bool:
    """Return True if ``event`` begins and ends on the 30-s grid."""
    ends_s = (event.onset_s, event.onset_s + event.duration_s)
    offs_s = [(at_s - phase_s) % EPOCH_S for at_s in ends_s]
    return all(min(off_s, EPOCH_S - off_s) < _TICK_S for off_s in offs_s)


def _times(n: int) -> str:
    return "once" if n == 1 else f"{n} times"
