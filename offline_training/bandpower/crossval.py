"""Honest figures of the band-power weights: every subject staged by networks that never saw it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from models.contract import Gain
from monitor.errors import InputError
from monitor.types import Track
from offline_training.bandpower.fit import fit
from offline_training.bandpower.recipe import Recipe
from offline_training.bandpower.staging import stream_nights
from offline_training.data.bandpowers import TRIM, BandPowerNight, hold_out, subject_of
from offline_training.data.npz import read_npz
from offline_training.data.recordings import split_subjects
from offline_training.evaluation.streaming import probabilities
from offline_training.evaluation.track import TrackScores
from offline_training.progress import Report

FOLD_SEED = 2026


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """Which folds are run and how; ``stride``: every so many epochs are scored, each from its full
    context of consecutive epochs."""

    folds: int
    run_folds: int
    stride: int
    seed: int

    def run(
        self, nights: Sequence[BandPowerNight], recipe: Recipe, folder: Path, report: Report
    ) -> dict[Gain, dict[str, Any]]:
        """Train without each fold's subjects and stage them; figures pooled over the folds.

        Early stopping and calibration use other subjects, held out of each fold's training part.
        What each fold said is kept in ``folder``; a fold found there is not run again.

        Raises
        ------
        InputError
            ``folder`` holds folds of another recipe, seed or set of recordings.
        """
        folder.mkdir(parents=True, exist_ok=True)
        said = []
        for k, (rest, fold) in enumerate(
            split_subjects(nights, self.folds, FOLD_SEED)[: self.run_folds]
        ):
            path = folder / f"fold-{k:02}.npz"
            identity = self._identity(recipe, k, fold)
            if not path.exists():

                def report_fold(step: int, steps: int, line: str, k: int = k) -> None:
                    report(k * steps + step, self.run_folds * steps, f"fold {k}: {line}")

                self._run_fold(rest, fold, recipe, k, path, identity, report_fold)
            said.append(_read(path, identity))
        pooled = {name: np.concatenate([one[name] for one in said]) for name in said[0]}
        return {gain: self._figures(pooled, gain) for gain in Gain}

    def _run_fold(
        self,
        rest: list[BandPowerNight],
        fold: list[BandPowerNight],
        recipe: Recipe,
        k: int,
        path: Path,
        identity: str,
        report: Report,
    ) -> None:
        train, held_out = hold_out(rest)
        networks = fit(train, held_out, recipe, self.seed + k, report)
        said: dict[str, Any] = {"identity": identity}
        for gain, network in networks.items():
            streamed = stream_nights(
                network, fold, recipe.context_epochs, recipe.revision_epochs, self.stride
            )
            said["truth"] = streamed.truth
            said[f"{gain.value}_live"], said[f"{gain.value}_revised"] = probabilities(
                network, streamed
            )
        said["recording"] = np.repeat(
            [night.recording for night in fold],
            [len(range(0, len(night.stage), self.stride)) for night in fold],
        )
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.savez(file, **said)
        part.replace(path)

    def _identity(self, recipe: Recipe, k: int, fold: list[BandPowerNight]) -> str:
        return json.dumps(
            [self.folds, self.stride, self.seed, k, asdict(recipe), [n.recording for n in fold]]
        )

    def _figures(self, pooled: dict[str, Any], gain: Gain) -> dict[str, Any]:
        subjects = np.array([subject_of(str(name)) for name in pooled["recording"]])
        drawn = f"{np.unique(subjects).size} subjects drawn with replacement"
        live, revised = (
            replace(
                TrackScores.of(pooled["truth"], pooled[f"{gain.value}_{track.value}"], subjects),
                interval_method=drawn,
            )
            for track in Track
        )
        return {
            "folds": self.folds,
            "folds_run": self.run_folds,
            "every_nth_epoch": self.stride,
            "wake_kept": TRIM,
            "live": live.to_json(),
            "revised": revised.to_json(),
        }


def _read(path: Path, identity: str) -> dict[str, Any]:
    tracks = [f"{gain.value}_{track.value}" for gain in Gain for track in Track]
    said = read_npz(path, ("identity", "truth", "recording", *tracks))
    if str(said.pop("identity")) != identity:
        raise InputError(
            f"{path} is a fold of another recipe, seed or set of recordings; choose another folder"
        )
    return said
