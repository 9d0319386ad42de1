"""Annotation lists as recorders write them: each is read alone, and what is lost is counted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.sources.annotation_lists import LATEST_S, parse_annotation_lists
from monitor.sources.recording import Annotation

KEEPER = b"+600\x14\x14\0"


def read(raw: bytes) -> list[tuple[float, float, str]]:
    return [(a.onset_s, a.duration_s, a.text) for a in parse_annotation_lists(raw).annotations]


@pytest.mark.parametrize(
    ("stamp", "duration_s"),
    [
        *((stamp, 0.0) for stamp in (b"+600", b"600", b"+600\x15", b"+600\x15-1", b"+600\x15 ")),
        *((stamp, 0.0) for stamp in (b"+600\x150", b"+600\x15+0", b"+600\x150,0", b"+6e2\x15-0.5")),
        *(
            (stamp, 30.0)
            for stamp in (b"+600\x1530", b"600\x1530", b" +600 \x15 30 ", b"+600.\x1530.")
        ),
        *((stamp, 30.0) for stamp in (b"+600,0\x1530,0", b"+600\x15+30", b"+6E+2\x153e1")),
        (b"+600\x15.5", 0.5),
    ],
)
def test_onset_and_duration_in_any_spelling(stamp: bytes, duration_s: float) -> None:
    lists = parse_annotation_lists(KEEPER + stamp + b"\x14Lights off\x14\0")
    assert lists.record_onset_s == 600.0
    assert lists.annotations == (Annotation(600.0, duration_s, "Lights off"),)
    assert lists.unread == 0


@pytest.mark.parametrize("duration", [b"abc", b"nan", b"inf", b"1_0", b"--1", b"30 s", b"1e400"])
def test_an_unreadable_duration_is_not_stated_and_counted(duration: bytes) -> None:
    lists = parse_annotation_lists(b"+600\x15" + duration + b"\x14a\x14b\x14\0+630\x14c\x14\0")
    assert [(a.onset_s, a.duration_s, a.text) for a in lists.annotations] == [
        (600.0, 0.0, "a"),
        (600.0, 0.0, "b"),
        (630.0, 0.0, "c"),
    ]
    assert lists.unread == 2


@pytest.mark.parametrize(
    "onset", [b"", b"+", b"x", b"nan", b"+1e11", b"+600+1", b"+600 s", b"\xff"]
)
def test_a_list_without_onset_is_lost_and_counted(onset: bytes) -> None:
    lists = parse_annotation_lists(KEEPER + onset + b"\x14a\x14\0+630\x14c\x14\0")
    assert [(a.onset_s, a.text) for a in lists.annotations] == [(630.0, "c")]
    assert lists.unread == 1


@pytest.mark.parametrize(
    "raw",
    [
        b"+1\x14\x14\0+2\x14a\x14b\x14\0\0\0",
        b"+1\x14\x14\0+2\x14a\x14b\x14\0\0   ",
        b"+1\x14\x14\0\0\0+2\x14a\x14b\x14\0",
        b"+1\x14\x14+2\x14a\x14b\x14\0",
        b"+1\x14\x14\0+2\x14a\x14b\x14",
        b"+1\x14\x14\0+2\x14a\x14b",
        b"+1\x14\x14\0+2\x14a\x14\x14b\x14\0",
    ],
)
def test_padding_and_separators_may_be_missing(raw: bytes) -> None:
    lists = parse_annotation_lists(raw)
    assert (lists.record_onset_s, lists.unread) == (1.0, 0)
    assert read(raw) == [(2.0, 0.0, "a"), (2.0, 0.0, "b")]


def test_a_list_that_follows_without_nul_keeps_its_own_time() -> None:
    assert read(b"+1\x14Lights off\x14+660\x14Lights on\x14\0") == [
        (1.0, 0.0, "Lights off"),
        (660.0, 0.0, "Lights on"),
    ]
    assert read(b"+1\x1530\x14a\x14+31\x1530\x14b\x14\0") == [(1.0, 30.0, "a"), (31.0, 30.0, "b")]
    # A text may be a signed number.
    assert read(b"+1\x14+5\x14\0") == [(1.0, 0.0, "+5")]


@pytest.mark.parametrize(
    ("raw", "onset_s"),
    [
        (b"+0\x14\x14\0", 0.0),
        (b"+0\x14\x14Recording starts\x14\0", 0.0),
        (b"0.5\x14\x14\0", 0.5),
        (b"+0\x14Recording starts\x14\0", None),
        (b"x\x14\x14\0", None),
        (b"", None),
    ],
)
def test_the_first_list_keeps_the_records_time(raw: bytes, onset_s: float | None) -> None:
    lists = parse_annotation_lists(raw)
    assert (lists.record_onset_s, lists.unread) == (onset_s, 0)


def test_texts_are_utf_8_or_latin_1_and_safe_to_print() -> None:
    assert read(b"+1\x14R\xc3\xbcckenlage\x14R\xfcckenlage\x14a\x1b[2J\x14\0") == [
        (1.0, 0.0, "Rückenlage"),
        (1.0, 0.0, "Rückenlage"),
        (1.0, 0.0, "a?[2J"),
    ]


@given(
    st.binary(max_size=200)
    | st.lists(
        st.sampled_from([b"+1", b"-", b"30", b"\x14", b"\x15", b"\0", b"a", b"1e999", b","]),
        max_size=60,
    ).map(b"".join)
)
def test_any_bytes_are_annotations_or_counted(raw: bytes) -> None:
    lists = parse_annotation_lists(raw)
    assert lists.unread >= 0
    for annotation in lists.annotations:
        assert abs(annotation.onset_s) <= LATEST_S
        assert 0 <= annotation.duration_s <= LATEST_S
        assert annotation.text


@given(
    st.lists(
        st.tuples(
            st.integers(-100, 100000),
            st.one_of(st.just(""), st.integers(-1, 900).map(str)),
            st.lists(st.text("abcW äµ", min_size=1).filter(str.strip), min_size=1, max_size=3),
        ),
        max_size=5,
    )
)
def test_what_is_written_is_read(lists: list[tuple[int, str, list[str]]]) -> None:
    raw = b"".join(
        f"{onset:+d}\x15{duration}\x14{chr(20).join(texts)}\x14\0".encode()
        for onset, duration, texts in lists
    )
    assert read(raw) == [
        (onset, max(0, int(duration or 0)), " ".join(text.split()))
        for onset, duration, texts in lists
        for text in texts
    ]
