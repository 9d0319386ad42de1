"""Which derivation is staged: the preferred one, another while it is dead, no flicker."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from monitor.conditioning.montage import RETURN_EPOCHS, DerivationChooser
from monitor.types import Reason

VERDICTS = {".": None, "x": Reason.FLAT}


def chosen(*derivations: str) -> str:
    """What is staged, epoch by epoch, as digits; ``derivations`` hold one letter an epoch."""
    chooser = DerivationChooser(len(derivations))
    epochs = zip(*derivations, strict=True)
    return "".join(str(chooser.choose([VERDICTS[each] for each in epoch])) for epoch in epochs)


def test_the_preferred_derivation_is_staged_while_it_can_be() -> None:
    assert DerivationChooser(3).chosen == 0
    assert chosen("....", "....", "xx..") == "0000"


def test_another_is_staged_in_the_very_epoch_that_the_preferred_cannot_be() -> None:
    assert chosen("..x", "...", "...") == "001"
    assert chosen("..x", "..x", "...") == "002"
    assert chosen("x", ".") == "1"


def test_the_preferred_one_returns_once_it_was_fit_for_long_enough() -> None:
    assert chosen("x" + "." * 12, "." * 13) == "1" * RETURN_EPOCHS + "0" * 3
    assert chosen("x" + "." * 9 + "x" + "." * 10, "." * 21) == "1" * 20 + "0"


def test_it_returns_at_once_if_nothing_else_can_be_staged() -> None:
    assert chosen("x..", "..x") == "110"


def test_a_better_one_than_now_is_better_than_none() -> None:
    """The second is preferred to the third, whatever becomes of the first."""
    assert chosen("x" * 14, "x" + "." * 13, "." * 14) == "2" * 10 + "1" * 4


def test_when_none_can_be_staged_it_stays() -> None:
    assert chosen(".x.x", ".x.x") == "0000"
    assert chosen("xxx", ".x.") == "111"


verdict = st.sampled_from([None, None, None, Reason.FLAT])
nights = st.integers(1, 4).flatmap(
    lambda n: st.lists(st.lists(verdict, min_size=n, max_size=n), min_size=1, max_size=60)
)


@given(nights)
def test_what_is_staged_can_be_if_anything_can(night: list[list[Reason | None]]) -> None:
    chooser = DerivationChooser(len(night[0]))
    staged = [chooser.choose(verdicts) for verdicts in night]
    for verdicts, now in zip(night, staged, strict=True):
        assert verdicts[now] is None or None not in verdicts
    for (before, now), verdicts in zip(pairwise(staged), night[1:], strict=True):
        # Without need it changes only to a better one.
        assert verdicts[before] is not None or now <= before


@given(nights, st.data())
def test_what_went_before_can_be_told_in_one_go(
    night: list[list[Reason | None]], data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(night)))
    whole, again = DerivationChooser(len(night[0])), DerivationChooser(len(night[0]))
    staged = [whole.choose(verdicts) for verdicts in night]
    for verdicts in night[:at]:
        again.choose(verdicts)
    assert [again.choose(verdicts) for verdicts in night[at:]] == staged[at:]
