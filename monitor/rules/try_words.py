"""Says what rules would have done, as words for people and as a table on the terminal."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from monitor.config import Rule
from monitor.night.decision import Cause, Decision, HeldReason
from monitor.report.words import count_text
from monitor.rules.trying import TriedNight

COLUMNS = ("time", "rule", "what", "why", "epoch", "stage", "confidence")

_WHATS = {None: "fires", HeldReason.SHAM: "sham", HeldReason.DRY_RUN: "dry run"}
_CAUSES = {
    Cause.EPOCH: "an epoch",
    Cause.MARK: "a mark",
    Cause.ELECTRODE: "an electrode is off",
    Cause.TIME: "the time",
    Cause.LATEST: "its latest time",
}


def heading(tried: TriedNight) -> str:
    """Return the night in words: when it was, and whose."""
    session = tried.record.session
    start, end = tried.when(session.start_utc), tried.when(tried.record.end_utc)
    day = f"{start:%Y-%m-%d}, " if session.has_date else ""
    who = f", {session.sleeper}" if session.sleeper else ""
    return f"{day}{start:%H:%M} to {end:%H:%M}{who}, {tried.record.path.name}"


def cells(tried: TriedNight, decision: Decision) -> tuple[str, ...]:
    """Return the cells of `COLUMNS` for a decision at which a rule fires, or would."""
    confidence = decision.confidence
    return (
        f"{tried.when(decision.time_utc):%H:%M:%S}",
        decision.rule,
        _WHATS[decision.reason],
        _CAUSES[decision.cause],
        "" if decision.epoch_index is None else str(decision.epoch_index),
        decision.stage.value if decision.stage else "",
        "" if confidence is None else f"{confidence:.0%}",
    )


def occasions(tried: TriedNight) -> list[Decision]:
    """Return the decisions at which a rule fires, or would, in order of time."""
    found = [each for rule in tried.rules for each in tried.occasions(rule)]
    return sorted(found, key=lambda each: each.time_utc)


def sentence(tried: TriedNight, rule: Rule) -> str:
    """Return what one rule did in this night, in a sentence."""
    made, held = tried.occasions(rule), tried.held(rule)
    text = f"fires {count_text(len(made), 'time')}" if made else "does not fire"
    sham = sum(each.reason is HeldReason.SHAM for each in made)
    text += f", {sham} of them sham" if sham else ""
    if held:
        parts = [f"{reason} ({count})" for reason, count in held.most_common()]
        text += f"; held back: {', '.join(parts)}"
    elif not made and rule.name not in tried.alarms:
        text += ": its conditions never hold"
    if (latest := tried.alarms.get(rule.name)) is not None:
        text += f": the night ends before its latest time, {tried.when(latest):%H:%M}"
    return f"{rule.name}: {text}"


def print_tried(console: Console, tried: TriedNight) -> None:
    """Print a table of every occasion, and a sentence for each rule."""
    console.print(Text(heading(tried), "bold"), soft_wrap=True)
    if made := occasions(tried):
        table = Table(*COLUMNS, box=SIMPLE_HEAD)
        for decision in made:
            table.add_row(*map(Text, cells(tried, decision)))
        console.print(table)
    for rule in tried.rules:
        console.print(Text(sentence(tried, rule)), soft_wrap=True)
    if not tried.rules:
        console.print(Text("No rule is for this sleeper"), soft_wrap=True)
    console.print()
