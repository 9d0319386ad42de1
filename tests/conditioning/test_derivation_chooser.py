"""The choice of derivation: the best that can be scored, without switching to and fro."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from monitor.conditioning.derivation_chooser import RETURN_EPOCHS, DerivationChooser
from monitor.types import Reason

VERDICTS = {".": None, "x": Reason.FLAT}


def chosen(*derivations: str) -> str:
    """Return the derivation staged in each epoch, as digits.

    ``derivations`` hold one letter for each epoch: "." can be scored, "x" cannot.
    """
    chooser = DerivationChooser(len(derivations))
    epochs = zip(*derivations, strict=True)
    return "".join(str(chooser.choose([VERDICTS[each] for each in epoch])) for epoch in epochs)


def test_the_best_derivation_is_staged_while_it_can_be_scored() -> None:
    assert DerivationChooser(3).chosen == 0
    assert chosen("....", "....", "xx..") == "0000"


def test_another_is_staged_in_the_same_epoch_in_which_the_best_cannot_be_scored() -> None:
    assert chosen("..x", "...", "...") == "001"
    assert chosen("..x", "..x", "...") == "002"
    assert chosen("x", ".") == "1"


def test_the_best_returns_after_it_could_be_scored_for_long_enough() -> None:
    assert chosen("x" + "." * 12, "." * 13) == "1" * RETURN_EPOCHS + "0" * 3
    assert chosen("x" + "." * 9 + "x" + "." * 10, "." * 21) == "1" * 20 + "0"


def test_the_best_returns_at_once_if_no_other_can_be_scored() -> None:
    assert chosen("x..", "..x") == "110"


def test_a_better_derivation_returns_even_if_the_best_stays_dead() -> None:
    """The second is better than the third; the first is dead all the time."""
    assert chosen("x" * 14, "x" + "." * 13, "." * 14) == "2" * 10 + "1" * 4


def test_the_choice_stays_while_none_can_be_scored() -> None:
    assert chosen(".x.x", ".x.x") == "0000"
    assert chosen("xxx", ".x.") == "111"


verdict = st.sampled_from([None, None, None, Reason.FLAT])
nights = st.integers(1, 4).flatmap(
    lambda n: st.lists(st.lists(verdict, min_size=n, max_size=n), min_size=1, max_size=60)
)


@given(nights)
def test_the_staged_derivation_can_be_scored_if_any_can(night: list[list[Reason | None]]) -> None:
    chooser = DerivationChooser(len(night[0]))
    staged = [chooser.choose(verdicts) for verdicts in night]
    for verdicts, now in zip(night, staged, strict=True):
        assert verdicts[now] is None or None not in verdicts
    for (before, now), verdicts in zip(pairwise(staged), night[1:], strict=True):
        # Unless it must, it changes only to a better one.
        assert verdicts[before] is not None or now <= before


@given(nights, st.data())
def test_the_choice_follows_from_the_verdicts_alone(
    night: list[list[Reason | None]], data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(night)))
    whole, again = DerivationChooser(len(night[0])), DerivationChooser(len(night[0]))
    staged = [whole.choose(verdicts) for verdicts in night]
    for verdicts in night[:at]:
        again.choose(verdicts)
    assert [again.choose(verdicts) for verdicts in night[at:]] == staged[at:]
