"""Checks of the staging network and of the event server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import redis

from models.contract import EPOCH_SAMPLES
from monitor.config import Settings, default_exported_folder
from monitor.doctor.finding import Finding, ok, problem, warning
from monitor.sinks.redis_client import connect, safe_text, safe_url
from monitor.sinks.redis_server import RedisServer

OLDEST_REDIS = (6, 2)
"""The oldest version whose commands are enough for the monitor."""

SLOW_S = 1.0
"""If the network needs longer than this for an epoch, other programs slow this machine down."""


def network(settings: Settings) -> Iterator[Finding]:
    """Check which backend runs the network, and that it stages an epoch in time."""
    import numpy as np

    from models.card import default_weights
    from monitor.staging.chain import BackendChain

    weights = settings.weights or default_weights(settings.gain)
    backend = BackendChain(
        weights, settings.exported or default_exported_folder(), settings.backend
    )
    contract = backend.contract
    if contract.gain is not settings.gain:
        yield problem(
            f"{weights} is for gain {contract.gain.value}",
            f"set gain to that, or use other weights: gain is {settings.gain.value}",
        )
    yield ok(backend.note)
    epoch_uv = np.random.default_rng(0).normal(0, 20, (1, EPOCH_SAMPLES)).astype(np.float32)
    seconds = []
    for _ in range(3):  # the first one also warms the network up
        began_s = time.perf_counter()
        context = np.repeat(backend.encode(epoch_uv)[:, None], contract.context_epochs, axis=1)
        backend.stage(context, np.ones(context.shape[:2], bool))
        seconds.append(time.perf_counter() - began_s)
    found = f"{weights.name} stages an epoch in {1000 * min(seconds):.0f} ms"
    if backend.trouble:
        yield warning(
            f"{found}, after another backend failed: {backend.trouble}", "see deploy/README.md"
        )
    elif min(seconds) < SLOW_S:
        yield ok(found)
    else:
        yield warning(
            found, "end the programs that load the CPU; leave OMP_NUM_THREADS unset, or set it to 1"
        )


def event_server(settings: Settings) -> Iterator[Finding]:
    """Check that the configured event server answers, or that the monitor's own one starts."""
    if settings.no_redis:
        yield ok("none, as configured: no events are published")
    elif settings.redis_url is None:
        with RedisServer(port=0, protected=True):
            yield ok("the one inside the monitor starts")
    else:
        yield _connection(settings.redis_url)


def _connection(url: str) -> Finding:
    client: Any = connect(url)
    try:
        version = str(client.info("server")["redis_version"])
    except (redis.RedisError, OSError) as exc:
        return problem(
            f"{safe_url(url)}: {safe_text(exc, url)}",
            "start it, correct the URL, or leave redis unset for the server inside the monitor",
        )
    finally:
        client.close()
    return version_finding(version, url)


def version_finding(version: str, url: str) -> Finding:
    """Judge the version of a server that answers."""
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_REDIS:
        return problem(f"{safe_url(url)}: Redis {version}", "Redis 6.2 or later is needed")
    return ok(f"{safe_url(url)}: Redis {version}")
