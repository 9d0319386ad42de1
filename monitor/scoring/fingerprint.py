"""Tell if a recording would be staged as before, without reading it."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from pathlib import Path

from models.card import default_weights, read_contract
from monitor.config import monitor_version
from monitor.errors import InputError
from monitor.scoring.options import ScoreOptions
from monitor.sources.hypnogram_files import hypnogram_among
from monitor.sources.listing import visible_files


class Fingerprints:
    """Makes the fingerprints of the recordings of one run. It lists each folder once."""

    def __init__(self, options: ScoreOptions) -> None:
        each = options.each
        weights = each.weights or default_weights(each.gain)
        self._options = [
            monitor_version(),
            read_contract(weights).weights_sha256,
            each.gain.value,
            each.backend,
            each.channel,
            each.expert,
            sorted(options.formats),
        ]
        self._looks_for_expert = each.expert
        self._folder: Path | None = None
        self._by_name: dict[str, Path] = {}
        self._by_stem: dict[str, list[Path]] = {}

    def of(self, recording: Path) -> str:
        """Return the fingerprint of ``recording``: size and time of its files, and the options.

        Its files are those of its name with any suffix, and its hypnogram. "" if they cannot be
        looked at: staging the recording says why.
        """
        facts: list[object] = list(self._options)
        try:
            self._list(recording.parent)
            paths = {recording, *self._by_stem.get(recording.stem, ())}
            if self._looks_for_expert and (found := hypnogram_among(recording, self._by_name)):
                paths.add(found)
            inside = (each for path in paths if path.is_dir() for each in path.rglob("*"))
            for path in sorted({*paths, *inside}):
                status = path.stat()
                facts.append((path.name, status.st_size, status.st_mtime_ns))
        except (OSError, ValueError, InputError):
            return ""
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]

    def _list(self, folder: Path) -> None:
        if folder == self._folder:
            return
        self._by_name, by_stem = {}, defaultdict(list)
        for path in visible_files(folder):
            self._by_name[path.name.lower()] = path
            by_stem[path.stem].append(path)
        self._folder, self._by_stem = folder, by_stem
