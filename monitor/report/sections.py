"""The sections of a night's page: each shows one side of the night in numbers."""

from __future__ import annotations

import numpy as np

from monitor.config import monitor_version
from monitor.night.statistics import EPOCH_MIN
from monitor.report.axis import TimeAxis
from monitor.report.lanes import MOST_CHANNELS
from monitor.report.markup import Markup, element
from monitor.report.network import KnownNetwork
from monitor.report.reported import UNSURE, ReportedNight
from monitor.report.style import section, table
from monitor.report.words import (
    NOTHING,
    PLAIN_STAGES,
    REASONS,
    minutes_text,
)
from monitor.types import Contact

MOST_HAPPENINGS = 12
"""Marks and events in the first table, which is printed; the others are in one that opens."""


def happenings_section(night: ReportedNight) -> Markup | None:
    """Return the marks and events with the numbers that they have in the picture."""
    found = night.happenings
    if not found:
        return None
    rows: list[list[object]] = [
        [str(number), f"{night.clock(each.when):%H:%M:%S}", each.text]
        for number, each in enumerate(found, start=1)
    ]
    columns = ["Number", "Time", "What happened"]
    first, rest = rows[:MOST_HAPPENINGS], rows[MOST_HAPPENINGS:]
    made = [table("Numbered as in the picture", columns, first, numbers=False)]
    if rest:
        more = table("The other marks and events", columns, rest, numbers=False)
        summary = element("summary", f"{len(rest):,} more")
        made.append(element("details", summary, more))
    return section("Marks and events", *made)


def unscored_section(night: ReportedNight) -> Markup:
    """Return how much was not scored, and why; and the contact of the electrodes."""
    total = sum(night.unscored.values())
    rows: list[list[object]] = [
        [
            "the night's file is damaged" if reason is None else REASONS[reason],
            minutes_text(count * EPOCH_MIN),
            f"{100 * count / night.n_epochs:.1f} %",
        ]
        for reason, count in night.unscored.items()
    ]
    why = (
        table("Time without a stage, of the whole recording", ["Reason", "Time", "Share"], rows)
        if total
        else element("p", "Every part of the recording was scored.")
    )
    contact: list[list[object]] = []
    for name, contacts in night.contacts.items():
        known = [each for each in contacts if each is not None]
        if known:
            shares = [100 * known.count(each) / len(known) for each in Contact]
            contact.append([name, *(f"{share:.0f} %" for share in shares)])
    staged = element("p", f"The stages were made from {night.staged_text}.")
    caption = "Contact of the electrodes, share of the recording"
    columns = ["Channel", "Good", "Poor", "Off"]
    shown, rest = contact[:MOST_CHANNELS], contact[MOST_CHANNELS:]
    electrodes = [table(caption, columns, shown)] if shown else []
    if rest:
        more = table("The other channels", columns, rest)
        electrodes.append(element("details", element("summary", f"{len(rest)} more"), more))
    return section(
        "What could not be scored",
        element("div", element("div", why, staged), element("div", electrodes), class_="pair"),
    )


def certainty_section(night: ReportedNight, network: KnownNetwork | None) -> Markup:
    """Return how sure the staging was this night, and how good it is known to be."""
    known = night.confidences[np.isfinite(night.confidences)]
    lines = []
    if known.size:
        lines.append(
            f"This night, the monitor was {100 * float(known.mean()):.0f} % sure of its stages on "
            f"average. In {100 * float((known < UNSURE).mean()):.1f} % of the scored epochs it was "
            "unsure: no stage was more probable than all others together."
        )
    if night.disagreement is not None:
        lines.append(
            f"It changed {100 * night.disagreement:.1f} % of the stages that it gave during the "
            "night after it had seen the five minutes that followed."
        )
    figures = None if network is None else network.figures
    if network is not None and figures is not None:
        good = ", ".join(f"{name} {value:.2f}" for name, value in figures.f1.items())
        lines.append(
            f"On people on whom it was not trained, {100 * figures.accuracy:.0f} of 100 epochs had "
            f"the stage that an expert gave (Cohen's kappa {figures.kappa:.2f}, "
            f"{figures.epochs:,} epochs; F1 of each stage: {good}). Two experts agree in about "
            "83 of 100 (Rosenberg and Van Hout 2013)."
        )
        if set(night.derivations) - {network.channel}:
            lines.append(
                f"It was trained on {network.channel}. On other signals, a headband's among them, "
                "it does worse, and its confidence means less."
            )
    elif night.record.session.model:
        lines.append(
            "How good this network is, is not known here: its weights are not those that ship with "
            "the monitor. See their card."
        )
    return section("How sure the stages are", [element("p", line) for line in lines])


def hours_table(night: ReportedNight) -> Markup:
    """Return the picture as a table: a row for each hour of the clock."""
    axis = TimeAxis(night.record.session.start_utc, night.n_epochs, 0.0, 1.0, night.clock)
    rows: list[list[object]] = []
    for start, first, stop in axis.spans(60 if night.n_epochs > 360 else 15):
        stages = night.hypnogram[first:stop]
        sure = night.confidences[first:stop]
        sure = sure[np.isfinite(sure)]
        waves = [
            night.spectrogram.band_db(low_hz, high_hz, first, stop)
            for low_hz, high_hz in ((0.5, 4.0), (12.0, 15.0))
        ]
        rows.append(
            [
                f"{start:%H:%M}",
                *(f"{stages.count(stage) * EPOCH_MIN:g}" for stage in PLAIN_STAGES),
                f"{stages.count(None) * EPOCH_MIN:g}",
                f"{100 * float(sure.mean()):.0f} %" if sure.size else "",
                *("" if db is None else f"{db:.0f} dB" for db in waves),
                *_good_contact(night, first, stop),
            ]
        )
    columns = ["From", *(f"{name}, min" for name in PLAIN_STAGES.values()), "Not scored, min"]
    columns += ["Mean certainty", "Slow waves (0.5 to 4 Hz)", "Spindle waves (12 to 15 Hz)"]
    columns += [f"{name} good" for name in list(night.contacts)[:MOST_CHANNELS]]
    return table("The picture in numbers, by the clock", columns, rows, wide=True)


def _good_contact(night: ReportedNight, first: int, stop: int) -> list[str]:
    shares = []
    for contacts in list(night.contacts.values())[:MOST_CHANNELS]:
        known = [each for each in contacts[first:stop] if each is not None]
        shares.append(f"{100 * known.count(Contact.GOOD) / len(known):.0f} %" if known else "")
    return shares


def origin_section(night: ReportedNight) -> Markup:
    """Return how the night and this page were made."""
    record = night.record
    session, stored = record.session, record.stored
    ledger = record.state.ledger
    rows: list[list[object]] = [
        ["Source", session.source or NOTHING],
        ["Kind", "live night" if record.is_live else "replay of a recording"],
        ["Best signal", session.derivation],
        ["Channels", ", ".join(session.channels)],
        ["Source rate", f"{session.sfreq_hz:g} Hz"],
        ["Gain", session.gain],
        ["Network", session.model],
        ["Its weights", f"SHA-256 {stored.weights_sha256 or '(unknown)'}"],
        ["Staged by", f"sleep-monitor {stored.version or '(version unknown)'}"],
        [
            "Samples",
            f"{ledger.expected:,} expected at 100 Hz, {ledger.received:,} received, "
            f"{ledger.filled:,} filled, {ledger.lost:,} lost",
        ],
        ["Command", stored.command or NOTHING],
        ["Session", session.id],
        ["File", str(record.path)],
        [
            "Report made",
            f"{night.made:%Y-%m-%d %H:%M} by sleep-monitor {monitor_version()}".rstrip(),
        ],
    ]
    cells = [element("tr", element("th", a, scope="row"), element("td", b)) for a, b in rows]
    caption = element("caption", "Where these numbers come from")
    made = element("table", caption, element("tbody", cells), class_="origin")
    return section("How this was made", made)
