"""The identity of a replayed night."""

from __future__ import annotations

import hashlib


def replay_id(fingerprint: str, derivation: str, start_s: float, weights_sha256: str) -> str:
    """Return the id of the session that replays a recording.

    It depends only on what decides the stages: the recording's ``fingerprint``, the derivation, the
    start of the grid and the weights. So the same command continues its night.
    """
    parts = (fingerprint, derivation, f"{start_s:.6f}", weights_sha256)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
