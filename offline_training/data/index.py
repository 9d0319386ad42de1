"""Which prepared recordings count: each night once, whatever its file is called."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from monitor.errors import InputError
from offline_training.data.condition import CONDITIONING, Source
from offline_training.data.layout import INDEX, LAYOUT_VERSION, Card, write_json
from offline_training.data.left_out import LeftOut

INDEXED = (
    "dataset",
    "name",
    "subject",
    "licence",
    "channel",
    "wake_min",
    "gain",
    "bytes",
    "sha256",
)


@dataclass(frozen=True, slots=True)
class Index:
    """The cards of a prepared folder.

    - ``cards`` have recordings that differ; ``repeated`` are those left out for being another's.
    - ``gone``: those of ``cards`` that are of a data set just prepared, but of none of its files.
    """

    cards: list[Card]
    repeated: list[LeftOut]
    gone: list[Card]

    @classmethod
    def of(cls, out: Path, sources: Sequence[Source]) -> Index:
        """What ``out`` holds after ``sources`` were prepared.

        Of cards made from one recording the first by data set and name is listed, one of
        ``sources`` before one whose file is gone or was renamed.
        """
        there = {(source.dataset, source.name) for source in sources}
        datasets = {dataset for dataset, _ in there}

        def is_gone(card: Card) -> bool:
            return card.dataset in datasets and (card.dataset, card.name) not in there

        first: dict[str, Card] = {}
        repeated = []
        for card in sorted(_cards(out), key=lambda card: (is_gone(card), card.dataset, card.name)):
            listed = first.setdefault(card.sources[0].sha256, card)
            if listed is not card:
                reason = f"the same recording as {listed.name} of {listed.dataset}"
                repeated.append(LeftOut(card.name, reason))
        cards = sorted(first.values(), key=lambda card: (card.dataset, card.name))
        return cls(cards, repeated, [card for card in cards if is_gone(card)])

    def write(self, out: Path) -> None:
        """Raises MonitorError when it cannot be written."""
        recordings = [
            {**{key: getattr(card, key) for key in INDEXED}, "n_epochs": card.n_epochs}
            for card in self.cards
        ]
        content = {"conditioning": CONDITIONING, "recordings": recordings}
        write_json(out / INDEX, {"layout": LAYOUT_VERSION, **content})


def _cards(out: Path) -> list[Card]:
    """Every card below ``out`` that can be read."""
    cards = []
    for path in out.glob("*/**/*.json"):
        with suppress(InputError):
            cards.append(Card.read(path))
    return cards
