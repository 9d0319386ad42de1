"""Read a sleep stage from a word, in the spellings of scoring programs and hand-made files.

Rechtschaffen & Kales, AASM, EDF+, Sleep-EDF, CAP, NSRR, Compumedics and Domino (German) are in one
table. Numbers are those of Rechtschaffen & Kales, as NSRR and Profusion write them.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from models.contract import Stage

NUMBERS: dict[str, Stage | None] = {
    "0": Stage.W,
    "1": Stage.N1,
    "2": Stage.N2,
    "3": Stage.N3,
    "4": Stage.N3,
    "5": Stage.R,
    "6": None,
    "9": None,
}
"""Stages by number: 0 wake, 1 to 4, 5 REM, 6 movement, 9 unscored."""

_DEPTHS = {number: NUMBERS[number] for number in "1234"}
_LETTERS: dict[str, Stage | None] = {"w": Stage.W, "r": Stage.R, "?": None, "m": None}
_LIGHTS: dict[str, Stage | None] = {"l": None}
"""Before lights off, after lights on; a stage only as 'Sleep stage L'."""

_WORDS: dict[str, Stage | None] = {
    **dict.fromkeys(("wake", "awake", "wakefulness", "wach", "wachheit", "s0", "n0"), Stage.W),
    **{f"{name}{n}": s for name in ("n", "s", "nrem", "nonrem") for n, s in _DEPTHS.items()},
    **dict.fromkeys(("sws", "slowwave", "deep", "tief"), Stage.N3),
    **dict.fromkeys(("rem", "paradoxical"), Stage.R),
}
# fmt: off
_UNSCORED: dict[str, Stage | None] = dict.fromkeys((
    "mt", "movement", "movementtime", "bodymovement", "bewegung", "bewegungszeit",
    "artefact", "artifact", "artefakt", "art",
    "unscored", "notscored", "unscorable", "unknown", "uns", "undefined", "none", "nostage",
))
# fmt: on
_STAGES = NUMBERS | _LETTERS | _LIGHTS | _WORDS | _UNSCORED

_UNCLEAR = {"", "n", "s", "nrem", "nonrem", "light", "leicht", "asleep", "n5", "s5", "s6"}
"""Words that are stages and do not say which of the five."""

_PREFIX = re.compile("sleepstages?|stages?|schlafstadium|stadium")
_SLEEP = re.compile("^(?:sleep|schlaf)|(?:sleep|schlaf)$")
_NEGATIVE = re.compile(r"(?:^|\s)[-\u2212](\d+)\b")
"""A number below 0. YASA and Visbrain write -1 and -2 for epochs without a stage; others are not
known, and must not count as their positive neighbours."""

_LOOKS_LIKE = re.compile(
    r"\b(?:(?:non-?|n)?rem|a?wake\w*|wach\w*|eveil\w*|veille|vigil\w*|n[1-3]|s[0-4]|stages?|stade|"
    r"stadium|schlafstadium)\b"
)
_EVENT = re.compile("onset|offset|density|arousal|latency|spindle|complex|burst")
_SEPARATORS = re.compile(r"[\s_.:,;/\\*\"'()\[\]\u2010-\u2015-]+")


@dataclass(frozen=True, slots=True)
class StageWord:
    """A word that stands for a stage.

    - ``code`` is the word in small letters, without 'Sleep stage', blanks and punctuation.
    - ``prefixed`` is True if the text itself says that it is a stage: 'Sleep stage 2', 'Stage N2'.
    """

    code: str
    prefixed: bool

    @property
    def known(self) -> bool:
        """False if the word is no word of the table: nobody can say which stage it means."""
        return self.code in _STAGES

    @property
    def stage(self) -> Stage | None:
        """The stage; None for movement, artefact, unscored, and for a word that is not known."""
        return _STAGES.get(self.code)

    @property
    def certain(self) -> bool:
        """False if another kind of annotation may have this text: 'R', '1', 'N2', 'Movement'."""
        if self.prefixed or self.code == "movementtime":
            return True
        return len(self.code) > 2 and self.code not in _UNSCORED

    @property
    def is_number(self) -> bool:
        """True for a stage that is written as a number."""
        return self.code in NUMBERS


def looks_like_a_stage(text: str) -> bool:
    """Return True for a text that is no word of the table and may be a stage all the same.

    'Wake (eyes open)', 'N1?', 'Éveil' and 'NREM stage 2' are such texts; 'REM density' is not.
    """
    plain = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return _LOOKS_LIKE.search(plain) is not None and _EVENT.search(plain) is None


def stage_word(text: str) -> StageWord | None:
    """Return the stage that ``text`` stands for, known or not; None if it is no stage.

    'Arousal (REM)', 'REM density', 'Lights off' and 'Sleep onset' are no stages. 'Sleep stage X'
    is one that is not known.
    """
    # '@@' precedes the channel of an annotation (EDF+ section 2.2.4), '|' the code of NSRR.
    text = text.partition("@@")[0].partition("|")[0]
    if negative := _NEGATIVE.search(text):
        rest = _SEPARATORS.sub("", text[: negative.start()].casefold())
        if not rest or _PREFIX.fullmatch(rest):
            code = "uns" if negative[1] in ("1", "2") else negative[0].strip()
            return StageWord(code, prefixed=bool(rest))
    key = _SEPARATORS.sub("", unicodedata.normalize("NFKC", text).casefold())
    if found := _PREFIX.match(key):
        rest = key[found.end() :]
        return StageWord(rest if rest in _STAGES else _SLEEP.sub("", rest), prefixed=True)
    code = key if key in _STAGES else _SLEEP.sub("", key)
    if code in _WORDS or code in _UNSCORED or (code and code in _UNCLEAR):
        return StageWord(code, prefixed=False)
    # A letter or a number is a stage only if nothing else stands in the text.
    return StageWord(key, prefixed=False) if key in NUMBERS or key in _LETTERS else None
