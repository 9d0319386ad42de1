"""The subjects that are held out."""

from __future__ import annotations

from dataclasses import dataclass

from offline_training.data.recordings import hold_out_subjects, split_subjects


@dataclass(frozen=True)
class OneNight:
    subject: str
    night: int


ALL = [OneNight(f"{subject:02}", night) for subject in range(20) for night in (1, 2)]


def held_out(known: set[str]) -> set[str]:
    train, out = hold_out_subjects(ALL, 10, known)
    found = {one.subject for one in out}
    assert len(train) + len(out) == len(ALL) and not found & {one.subject for one in train}
    return found


def test_the_first_fold_is_held_out() -> None:
    assert hold_out_subjects(ALL, 10) == split_subjects(ALL, 10, 2025)[0]
    assert hold_out_subjects(ALL[:6], 10) == split_subjects(ALL[:6], 3, 2025)[0]


def test_known_subjects_are_held_out_only_if_there_are_no_others() -> None:
    first = held_out(set())
    assert len(first) == 2
    others = held_out(first)
    assert len(others) == 2 and not others & first
    everyone = {one.subject for one in ALL}
    assert held_out(everyone - {"07"}) == {"07"}
    assert held_out(everyone) == first
