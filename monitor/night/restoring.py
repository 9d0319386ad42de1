"""Make the night of a session again from what is stored."""

from __future__ import annotations

from monitor.night.memory import AnyStore
from monitor.night.night import Night
from monitor.types import Session, Track


def restored_night(store: AnyStore, session: Session) -> Night:
    """Return the night that ``store`` holds."""
    names = tuple(each.name for each in store.derivations())
    predictions = (*store.predictions(Track.LIVE), *store.predictions(Track.REVISED))
    return Night.of(session, store.marks(), store.ledger(), predictions, names)
