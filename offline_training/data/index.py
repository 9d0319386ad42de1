"""The index of a prepared folder: it lists each night once, even if its file was renamed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from monitor.errors import InputError
from offline_training.data.condition import CONDITIONING, SourceRecording
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

    - No two of ``cards`` were made from the same recording. They are ordered by data set and name.
    - ``repeated``: recordings left out because their content equals that of a listed one.
    - ``orphaned``: listed cards whose data set was just prepared, but whose file was not part of
      that run. The file was removed or renamed.
    """

    cards: list[Card]
    repeated: list[LeftOut]
    orphaned: list[Card]

    @classmethod
    def of(cls, out: Path, sources: Sequence[SourceRecording]) -> Index:
        """Index the cards in ``out`` after ``sources`` were prepared.

        If several cards were made from the same recording, only one is listed: first choice is a
        card of ``sources`` rather than an orphaned one, then the first by data set and name.
        """
        prepared = {(source.dataset, source.name) for source in sources}
        datasets = {dataset for dataset, _ in prepared}

        def is_orphaned(card: Card) -> bool:
            return card.dataset in datasets and (card.dataset, card.name) not in prepared

        first: dict[str, Card] = {}
        repeated = []
        for card in sorted(
            _cards(out), key=lambda card: (is_orphaned(card), card.dataset, card.name)
        ):
            listed = first.setdefault(card.sources[0].sha256, card)
            if listed is not card:
                reason = f"the same recording as {listed.name} of {listed.dataset}"
                repeated.append(LeftOut(card.name, reason))
        cards = sorted(first.values(), key=lambda card: (card.dataset, card.name))
        return cls(cards, repeated, [card for card in cards if is_orphaned(card)])

    def write(self, out: Path) -> None:
        """Write the index into ``out``. Raises MonitorError if that fails."""
        recordings = [
            {**{key: getattr(card, key) for key in INDEXED}, "n_epochs": card.n_epochs}
            for card in self.cards
        ]
        content = {"conditioning": CONDITIONING, "recordings": recordings}
        write_json(out / INDEX, {"layout": LAYOUT_VERSION, **content})


def _cards(out: Path) -> list[Card]:
    """Return every card below ``out`` that can be read."""
    cards = []
    for path in out.glob("*/**/*.json"):
        with suppress(InputError):
            cards.append(Card.read(path))
    return cards
