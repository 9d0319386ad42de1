"""Exported networks: changed graphs and checksums, and graphs of something else."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from models.card import default_weights
from models.contract import EPOCH_SAMPLES, Gain
from models.graphs import ENCODE, GRAPHS, STAGE, checksums_path, graph_files, graph_path
from monitor.staging.onnx_backend import OnnxBackend
from tests.fuzz import nasty
from tests.fuzz.case import Case, Kind

WEIGHTS = default_weights(Gain.KNOWN)
OTHER = default_weights(Gain.UNKNOWN)


class OnnxKind(Kind):
    """The graphs of the default weights, sound and broken."""

    name = "onnx"

    def generate(self, random: Random) -> Case:
        files = dict(_export(WEIGHTS))
        graph = random.choice(GRAPHS)
        name, checksums = graph_path(WEIGHTS, graph).name, checksums_path(WEIGHTS).name
        sound = False
        match random.randrange(6):
            case 0:
                files[checksums], story = nasty.changed(random, files[checksums])
            case 1:
                table = json.loads(files[checksums])
                table[graph] = random.choice((*nasty.VALUES, *nasty.TEXTS, [], {}))
                files[checksums] = json.dumps(table).encode()
                story = f"the checksum is {table[graph]!r:.60}"
            case 2:
                # A whole graph, but not the one that belongs here. Its checksum is right.
                source = random.choice((WEIGHTS, OTHER))
                other = STAGE if graph == ENCODE and source == WEIGHTS else graph
                if source == WEIGHTS and graph == STAGE:
                    other = ENCODE
                files[name] = _export(source)[graph_path(source, other).name]
                story = f"{graph} is {other} of {source.stem}"
                _sign(files, graph)
            case 3:
                files[name] = random.choice((b"", b"\0", b"\x08\x07", b"not a graph" * 9))
                story = f"{graph} is {files[name][:20]!r}"
                _sign(files, graph)
            case 4 if random.random() < 0.2:
                story, sound = "sound", True
            case _:
                files[name], story = nasty.changed(random, files[name])
                story = f"{graph}: {story}"
        return Case(story=story, files=files, sound=sound)

    def check(self, case: Case, folder: Path) -> None:
        backend = OnnxBackend(folder / WEIGHTS.name)
        for found, right in zip(_answers(backend), _right_answers(), strict=True):
            np.testing.assert_array_equal(found, right)


def _sign(files: dict[str, bytes], graph: str) -> None:
    """Make the checksum of ``graph`` right again."""
    checksums = checksums_path(WEIGHTS).name
    table = json.loads(files[checksums])
    table[graph] = hashlib.sha256(files[graph_path(WEIGHTS, graph).name]).hexdigest()
    files[checksums] = json.dumps(table).encode()


@cache
def _export(weights: Path) -> dict[str, bytes]:
    """Return the export of ``weights`` and their card, by name."""
    paths = [*graph_files(weights), weights.with_suffix(".json")]
    return {path.name: path.read_bytes() for path in paths}


def _answers(backend: OnnxBackend) -> list[Any]:
    wave = np.sin(np.arange(2 * EPOCH_SAMPLES, dtype=np.float32) / 9).reshape(2, -1) * 30
    embeddings = backend.encode(wave)
    scored = np.ones((1, 2), np.bool_)
    return [embeddings, *backend.stage(embeddings[None], scored)]


@cache
def _right_answers() -> list[Any]:
    return _answers(OnnxBackend(WEIGHTS))
