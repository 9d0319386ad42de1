"""`follow` and its twin `afollow`: they wait and talk to the server; `Following` does the rest."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from os import PathLike
from pathlib import Path
from typing import Any

import redis

from monitor.client.following import Ask, Following, Step, Wait, Wanted
from monitor.client.items import Back, Gone, StagedEpoch
from monitor.client.position import Position
from monitor.clock import Clock, SystemClock
from monitor.sinks.redis_client import connect, connect_async
from monitor.sinks.redis_server import DEFAULT_URL

READ_TIMEOUT_S = 5.0
"""Time limit for an answer of the server, which holds a read open for half a second."""

FAILURES = (redis.RedisError, OSError, ValueError)
"""What a client raises if the server is away or refuses. ValueError: another program listens
there, and its answer is no Redis protocol."""

Status = Callable[[Gone | Back], object]


def follow(
    url: str = DEFAULT_URL,
    *,
    track: str = "live",
    min_confidence: float = 0.0,
    fresh_s: float | None = 60.0,
    sleeper: str | None = None,
    unscored: bool = False,
    replays: bool = False,
    position: str | PathLike[str] | None = None,
    status: Status | None = None,
    wait_s: float | None = None,
    stop: threading.Event | None = None,
    clock: Clock | None = None,
) -> Generator[StagedEpoch, None, None]:
    """Iterate over the stages of tonight as they come; wait for a server or a monitor that is away.

    - ``track``: ``live`` or ``revised``.
    - ``min_confidence``: leave out stages with a smaller confidence.
    - ``fresh_s``: leave out what is older than this, so that nothing that happened long ago looks
      like news. None: all events that the server holds, the oldest first, then the new ones.
    - ``sleeper``: one sleeper's name; None: all sleepers.
    - ``unscored``: also yield epochs without a stage.
    - ``replays``: also yield the stages of replays, to try an app. Their age counts from when the
      server got them.
    - ``position``: a file that keeps the place. The next start with this file goes on there. An
      epoch counts as handled when the loop asks for the next one or ends. If the process is
      killed before, the epoch comes again.
    - ``status``: is called with `Gone` when the monitor is dead or away for 15 s, and at once if it
      is not there at the start; with `Back` when it is there again.
    - ``wait_s``: raise `MonitorError` if the server is away for longer; None: wait for ever.
    - ``stop``: an event that ends the loop within half a second.
    - ``clock``: the machine's if None.

    Raises `InputError` at once if ``url`` or another argument is wrong, and `MonitorError` if the
    server refuses the login.
    """
    following = _following(
        url, track, min_confidence, fresh_s, sleeper, unscored, replays, position, wait_s, clock
    )
    client = connect(url, timeout_s=READ_TIMEOUT_S)
    return _follow(following.steps(), client, status, stop or threading.Event())


def afollow(
    url: str = DEFAULT_URL,
    *,
    track: str = "live",
    min_confidence: float = 0.0,
    fresh_s: float | None = 60.0,
    sleeper: str | None = None,
    unscored: bool = False,
    replays: bool = False,
    position: str | PathLike[str] | None = None,
    status: Status | None = None,
    wait_s: float | None = None,
    clock: Clock | None = None,
) -> AsyncGenerator[StagedEpoch, None]:
    """Iterate as `follow` does, in ``async for``.

    ``status`` may be a coroutine function. Cancel the task to end the loop.
    """
    following = _following(
        url, track, min_confidence, fresh_s, sleeper, unscored, replays, position, wait_s, clock
    )
    return _afollow(following.steps(), url, status)


def _following(
    url: str,
    track: str,
    min_confidence: float,
    fresh_s: float | None,
    sleeper: str | None,
    unscored: bool,
    replays: bool,
    position: str | PathLike[str] | None,
    wait_s: float | None,
    clock: Clock | None,
) -> Following:
    """Check the arguments; nothing is sent yet."""
    wanted = Wanted(track, min_confidence, fresh_s, sleeper, unscored, replays)
    connect(url).close()
    place = Position(None if position is None else Path(position))
    return Following(url, wanted, place, wait_s, clock or SystemClock())


def _follow(
    steps: Generator[Step, Any, None],
    client: Any,
    status: Status | None,
    stop: threading.Event,
) -> Generator[StagedEpoch, None, None]:
    try:
        step = next(steps)
        while True:
            answer: Any = None
            match step:
                # Not before another step: an epoch that is here counts as handled at the end.
                case Ask() | Wait() if stop.is_set():
                    return
                case Ask():
                    try:
                        answer = client.execute_command(*step.command)
                    except FAILURES as exc:
                        step = steps.throw(exc)
                        continue
                case Wait():
                    stop.wait(step.duration_s)
                case StagedEpoch():
                    yield step
                case _:
                    if status is not None:
                        status(step)
            step = steps.send(answer)
    finally:
        steps.close()
        client.close()


async def _afollow(
    steps: Generator[Step, Any, None], url: str, status: Status | None
) -> AsyncGenerator[StagedEpoch, None]:
    client: Any = connect_async(url, timeout_s=READ_TIMEOUT_S)
    try:
        step = next(steps)
        while True:
            answer: Any = None
            match step:
                case Ask():
                    try:
                        answer = await _answer(client, step)
                    except FAILURES as exc:
                        step = steps.throw(exc)
                        continue
                case Wait():
                    await asyncio.sleep(step.duration_s)
                case StagedEpoch():
                    yield step
                case _:
                    if status is not None and inspect.isawaitable(done := status(step)):
                        await done
            step = steps.send(answer)
    finally:
        steps.close()
        await client.aclose()


async def _answer(client: Any, step: Ask) -> Any:
    """Return the server's answer.

    redis-py loses a cancellation now and then, while it connects or reads. Without the check here
    a task that was cancelled would follow for ever.
    """
    task = asyncio.current_task()
    n_before = 0 if task is None else task.cancelling()
    try:
        return await client.execute_command(*step.command)
    finally:
        if task is not None and task.cancelling() > n_before:
            raise asyncio.CancelledError
