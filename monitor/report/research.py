"""The sections of a night's page in the words of sleep research: statistics, cycles, experts."""

from __future__ import annotations

import numpy as np

from models.contract import STAGES, Stage
from monitor.night.agreement import Agreement
from monitor.night.statistics import EPOCH_MIN
from monitor.report.markup import Markup, element
from monitor.report.reported import ReportedNight
from monitor.report.style import section, table
from monitor.report.summary import bounds_text
from monitor.report.words import PLAIN_STAGES, minutes_text, number_text


def statistics_section(night: ReportedNight) -> Markup:
    """Return the statistics under the names of sleep research, with their definitions."""
    stages = table("Stages: minutes, and share of TST", ["Stage", "Time", "Share"], _stages(night))
    return section(
        "In the words of sleep research",
        element(
            "div",
            table(
                "Sleep statistics (AASM Manual 2.6)",
                ["Name", "Value", "Meaning"],
                _statistics(night),
                numbers=False,
            ),
            element(
                "div",
                stages,
                _cycles(night),
                _transitions(night),
            ),
            class_="pair uneven",
        ),
    )


def _statistics(night: ReportedNight) -> list[list[object]]:
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
    return rows


def _stages(night: ReportedNight) -> list[list[object]]:
    s = night.statistics
    shares = [
        (Stage.W, s.w_min, None),
        (Stage.R, s.r_min, s.r_percent),
        (Stage.N1, s.n1_min, s.n1_percent),
        (Stage.N2, s.n2_min, s.n2_percent),
        (Stage.N3, s.n3_min, s.n3_percent),
    ]
    return [
        [
            f"{stage.value} ({PLAIN_STAGES[stage].lower()})",
            f"{total:.1f} min",
            "" if stage is Stage.W else number_text(share, " %"),
        ]
        for stage, total, share in shares
    ]


def _cycles(night: ReportedNight) -> Markup:
    rows: list[list[object]] = []
    for number, cycle in enumerate(night.structure.cycles, start=1):
        start = night.clock(night.record.session.epoch_start_utc(cycle.start))
        rows.append(
            [
                str(number),
                f"{start:%H:%M}",
                minutes_text((cycle.stop - cycle.start) * EPOCH_MIN),
                minutes_text((cycle.stop - cycle.r_start) * EPOCH_MIN)
                if cycle.complete
                else "not yet",
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
