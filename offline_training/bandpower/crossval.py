"""Cross-validation of the band-power weights by subject.

Every subject is staged by networks that were not trained on it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from models.contract import Gain
from models.files import whole_file
from models.mc2sleepnet import MC2SleepNet
from monitor.errors import InputError
from monitor.types import Track
from offline_training.bandpower.fit import fit
from offline_training.bandpower.recipe import BandPowerRecipe
from offline_training.bandpower.staging import stream_nights
from offline_training.data.bandpowers import TRIM, BandPowerNight, hold_out, subject_of
from offline_training.data.npz import read_npz
from offline_training.data.recordings import FOLD_SEED, split_subjects
from offline_training.evaluation.streaming import probabilities
from offline_training.evaluation.track import TrackScores
from offline_training.progress import Report


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """Folds of subjects, trained and scored with one recipe.

    - The first ``run_folds`` of ``folds`` folds are run.
    - Every ``stride``-th epoch is scored, each from its full context of consecutive epochs.
    - Fold k is trained with seed ``seed`` + k.
    """

    folds: int
    run_folds: int
    stride: int
    seed: int

    def run(
        self,
        nights: Sequence[BandPowerNight],
        recipe: BandPowerRecipe,
        folder: Path,
        report: Report,
    ) -> dict[Gain, dict[str, Any]]:
        """Train without each fold's subjects, stage them, and return figures over all folds.

        Early stopping and calibration use other subjects, held out of the fold's training part.
        The predictions of each fold are kept in ``folder``; a fold found there is not run again.

        Raises
        ------
        InputError
            ``folder`` holds a fold that is damaged, or of another recipe, seed or set of
            recordings.
        """
        folder.mkdir(parents=True, exist_ok=True)
        predictions = []
        for k, (rest, fold) in enumerate(
            split_subjects(nights, self.folds, FOLD_SEED)[: self.run_folds]
        ):
            path = folder / f"fold-{k:02}.npz"
            identity = self._identity(recipe, k, fold)
            if not path.exists():

                def report_fold(step: int, steps: int, line: str, k: int = k) -> None:
                    report(k * steps + step, self.run_folds * steps, f"fold {k}: {line}")

                networks = fit(*hold_out(rest), recipe, self.seed + k, report_fold)
                self._write(path, identity, networks, fold, recipe)
            predictions.append(_read(path, identity))
        pooled = {
            name: np.concatenate([one[name] for one in predictions]) for name in predictions[0]
        }
        return {gain: self._figures(pooled, gain) for gain in Gain}

    def _write(
        self,
        path: Path,
        identity: str,
        networks: dict[Gain, MC2SleepNet],
        fold: list[BandPowerNight],
        recipe: BandPowerRecipe,
    ) -> None:
        """Stage the nights of ``fold`` with both variants and write stages and probabilities."""
        arrays: dict[str, Any] = {"identity": identity}
        for gain, network in networks.items():
            streamed = stream_nights(
                network, fold, recipe.context_epochs, recipe.revision_epochs, self.stride
            )
            live, revised = probabilities(network, streamed)
            arrays["truth"] = streamed.truth
            arrays[f"{gain.value}_live"], arrays[f"{gain.value}_revised"] = live, revised
        arrays["recording"] = np.repeat(
            [night.recording for night in fold],
            [len(range(0, len(night.stage), self.stride)) for night in fold],
        )
        with whole_file(path) as file:
            np.savez(file, **arrays)

    def _identity(self, recipe: BandPowerRecipe, k: int, fold: list[BandPowerNight]) -> str:
        """Return all that decides the predictions of fold ``k``, as JSON."""
        return json.dumps(
            [self.folds, self.stride, self.seed, k, asdict(recipe), [n.recording for n in fold]]
        )

    def _figures(self, pooled: dict[str, Any], gain: Gain) -> dict[str, Any]:
        subjects = np.array([subject_of(str(name)) for name in pooled["recording"]])
        method = f"{np.unique(subjects).size} subjects drawn with replacement"
        live, revised = (
            replace(
                TrackScores.of(pooled["truth"], pooled[f"{gain.value}_{track.value}"], subjects),
                interval_method=method,
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
    """Read the predictions of a fold. Raises InputError if they are damaged or of another one."""
    tracks = [f"{gain.value}_{track.value}" for gain in Gain for track in Track]
    found = read_npz(path, ("identity", "truth", "recording", *tracks))
    if str(found.pop("identity")) != identity:
        raise InputError(
            f"{path} is a fold of another recipe, seed or set of recordings; choose another folder"
        )
    return found
