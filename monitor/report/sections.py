"""The sections of a night's page: each shows one side of the night in numbers."""

from __future__ import annotations

import numpy as np

from models.contract import EPOCH_S, STAGES, Stage
from monitor.config import monitor_version
from monitor.night.agreement import Agreement
from monitor.report.axis import TimeAxis
from monitor.report.lanes import MOST_CHANNELS
from monitor.report.markup import Markup, element
from monitor.report.network import KnownNetwork
from monitor.report.reported import UNSURE, ReportedNight
from monitor.report.style import section, table
from monitor.report.summary import bounds_text
from monitor.report.words import (
    NOTHING,
    PLAIN_STAGES,
    REASONS,
    minutes_text,
    number_text,
)
from monitor.types import Contact

MOST_HAPPENINGS = 12
"""Marks and events in the first table, which is printed; the others are in one that opens."""

_MIN = EPOCH_S / 60.0


def statistics_section(night: ReportedNight) -> Markup:
    """Return the statistics under the names of sleep research, with their definitions."""
    s, structure = night.statistics, night.structure
    minutes = [
        ("TRT", s.trt_min, f"total recording time: {bounds_text(s.bounds)}"),
        ("TST", s.tst_min, "total sleep time: N1, N2, N3 and R"),
        ("SOL", s.sol_min, "sleep onset latency: start of TRT to the first epoch of sleep"),
        (
            "SOL to 5 min",
            structure.sol_5min_min,
            "start of TRT to the first 5 min of unbroken sleep",
        ),
        ("LPS", s.lps_min, "latency to persistent sleep: the first 10 min of unbroken sleep"),
        ("REM latency", s.rem_latency_min, "sleep onset to the first epoch of R"),
        ("WASO (AASM)", s.waso_aasm_min, "W from sleep onset to the end of TRT"),
        (
            "WASO (last sleep)",
            s.waso_last_sleep_min,
            "W from sleep onset to the last epoch of sleep",
        ),
        ("SPT", structure.spt_min, "sleep period time: sleep onset to the last epoch of sleep"),
        ("Unscored", s.unscored_min, "part of TRT, neither sleep nor wake"),
    ]
    rows: list[list[object]] = [
        [name, number_text(value, " min"), meaning] for name, value, meaning in minutes
    ]
    rows += [
        ["SE", number_text(s.se_percent, " %"), "sleep efficiency: TST / TRT"],
        [
            "SME",
            number_text(structure.sme_percent, " %"),
            "sleep maintenance efficiency: TST / SPT",
        ],
        [
            "Fragmentation",
            number_text(structure.fragmentation_per_h, " per h"),
            "changes from sleep to W, and to N1 from N2, N3 or R, per hour of TST "
            "(Haba-Rubio 2004)",
        ],
    ]
    shares = [
        (Stage.W, s.w_min, None),
        (Stage.R, s.r_min, s.r_percent),
        (Stage.N1, s.n1_min, s.n1_percent),
        (Stage.N2, s.n2_min, s.n2_percent),
        (Stage.N3, s.n3_min, s.n3_percent),
    ]
    stages: list[list[object]] = [
        [
            f"{stage.value} ({PLAIN_STAGES[stage].lower()})",
            f"{total:.1f} min",
            "" if stage is Stage.W else number_text(share, " %"),
        ]
        for stage, total, share in shares
    ]
    return section(
        "In the words of sleep research",
        element(
            "div",
            _with_meanings("Sleep statistics (AASM Manual 2.6)", rows),
            element(
                "div",
                table("Stages: minutes, and share of TST", ["Stage", "Time", "Share"], stages),
                _cycles(night),
                _transitions(night),
            ),
            class_="pair uneven",
        ),
    )


def _with_meanings(caption: str, rows: list[list[object]]) -> Markup:
    cells: list[list[object]] = [[name, value, meaning] for name, value, meaning in rows]
    return table(caption, ["Name", "Value", "Meaning"], cells, numbers=False)


def _cycles(night: ReportedNight) -> Markup:
    rows: list[list[object]] = []
    for number, cycle in enumerate(night.structure.cycles, start=1):
        start = night.clock(night.record.session.epoch_start_utc(cycle.start))
        rows.append(
            [
                str(number),
                f"{start:%H:%M}",
                minutes_text((cycle.stop - cycle.start) * _MIN),
                minutes_text((cycle.stop - cycle.r_start) * _MIN) if cycle.complete else "not yet",
            ]
        )
    if not rows:
        return element("p", "No sleep cycle was found.")
    caption = "Sleep cycles (Feinberg and Floyd 1979, as in SleepCycles 2021)"
    return table(caption, ["Cycle", "From", "Length", "R part"], rows)


def _transitions(night: ReportedNight) -> Markup:
    structure = night.structure
    rows: list[list[object]] = [
        [
            stage.value,
            *("" if np.isnan(p) else f"{100 * p:.0f} %" for p in structure.probabilities[n]),
            f"{structure.transitions[n].sum():,}",
        ]
        for n, stage in enumerate(STAGES)
    ]
    columns = ["From", *(stage.value for stage in STAGES), "Epochs"]
    caption = "The next stage. From a stage to itself: its persistence"
    return table(caption, columns, rows, wide=True)


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
            minutes_text(count * _MIN),
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


def expert_section(night: ReportedNight) -> Markup | None:
    """Return the agreement of both tracks with the expert; None without one."""
    if night.expert is None:
        return None
    live = night.expert.agreement([each.stage for each in night.record.live])
    revised = night.expert.agreement(night.hypnogram)
    scores: list[list[object]] = [
        [
            name,
            number_text(result.accuracy, digits=3),
            number_text(result.macro_f1, digits=3),
            number_text(result.kappa, digits=3),
            f"{result.n_scored:,} of {result.n_expert:,}",
        ]
        for name, result in (("Live", live), ("Revised", revised))
    ]
    columns = ["Track", "Accuracy", "Macro-F1", "Kappa", "Epochs"]
    per_stage: list[list[object]] = [
        [stage.value, *(number_text(each.f1[stage], digits=3) for each in (live, revised))]
        for stage in STAGES
    ]
    return section(
        f"Agreement with the expert ({night.expert.name})",
        element("p", night.expert.placing) if night.expert.placing else None,
        element(
            "div",
            element(
                "div",
                table("Over the epochs that both scored", columns, scores, wide=True),
                table("F1 score of each stage", ["Stage", "Live", "Revised"], per_stage),
            ),
            _confusion(revised),
            class_="pair",
        ),
    )


def _confusion(result: Agreement) -> Markup:
    rows: list[list[object]] = [
        [f"Expert {stage.value}", *(f"{count:,}" for count in row)]
        for stage, row in zip(STAGES, result.confusion, strict=True)
    ]
    columns = ["Revised:", *(stage.value for stage in STAGES)]
    return table("Confusion in epochs: rows the expert, columns the monitor", columns, rows)


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
                *(f"{stages.count(stage) * _MIN:g}" for stage in PLAIN_STAGES),
                f"{stages.count(None) * _MIN:g}",
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


def origin_section(night: ReportedNight, network: KnownNetwork | None) -> Markup:
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
        [
            "Its weights",
            f"of this name: SHA-256 {network.weights_sha256}"
            if network
            else "none of this name ship with the monitor",
        ],
        ["Staged by", f"sleep-monitor {stored.version or '(version unknown)'}"],
        [
            "Samples",
            f"{ledger.expected:,} expected at 100 Hz, {ledger.received:,} received, "
            f"{ledger.filled:,} filled, {ledger.lost:,} lost",
        ],
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
