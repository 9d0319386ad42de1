"""Builds the parts that a replay and a live night share: network, pipeline, event delivery."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from models.card import default_weights
from models.contract import Gain
from monitor.clock import Clock, Timeline
from monitor.conditioning.conditioner import Conditioner
from monitor.config import (
    RunOptions,
    default_exported_folder,
    default_nights_folder,
    private_folder,
)
from monitor.errors import InputError
from monitor.night.backlog import Backlog
from monitor.night.memory import AnyStore
from monitor.night.store import NightStore
from monitor.pipeline import Pipeline
from monitor.sinks.publisher import Publisher
from monitor.sinks.redis_client import connect
from monitor.sinks.redis_server import RedisServer
from monitor.sinks.ways import Carrier, check_ways
from monitor.staging.backend import Backend
from monitor.staging.chain import BackendChain
from monitor.staging.stager import Stager
from monitor.types import Delivery, Mark, Montage, Session

NO_DELIVERY = Delivery(url=None, connected=False, published=0, waiting=0)
"""The delivery of a run that publishes no events."""

LATER = (
    "the store keeps them, and the same command sends them if it continues this night while the "
    "server answers"
)
"""The fate of events that reach no server, if the night is kept."""

_log = logging.getLogger(__name__)


def nights_folder(folder: Path | None = None) -> Path:
    """Return ``folder`` of nights, by default the user's; make it if needed.

    Raises `InputError` if that fails.
    """
    folder = folder or default_nights_folder()
    try:
        private_folder(folder)
    except OSError as exc:
        raise InputError(
            f"cannot make the folder {folder} for nights: {exc.strerror}; "
            "choose a file with --store"
        ) from exc
    return folder


def load_backend(options: RunOptions) -> BackendChain:
    """Load the network. Raises `InputError` if the weights are unusable or for another gain."""
    gain = options.gain
    weights = options.weights or default_weights(gain)
    backend = BackendChain(weights, options.exported or default_exported_folder(), options.backend)
    if backend.contract.gain is not gain:
        raise InputError(
            f"the weights {weights} are for --gain {backend.contract.gain.value}, "
            f"not --gain {gain.value}"
        )
    return backend


def check_event_server(options: RunOptions) -> None:
    """Raise `InputError` if the URL of the event server is not valid. Does not connect."""
    if options.redis is not None:
        connect(options.redis).close()


def check_outputs(options: RunOptions) -> None:
    """Raise `InputError` for an event server or a way out that cannot work. Does not connect."""
    check_event_server(options)
    check_ways(options.ways)


def build_pipeline(
    session: Session,
    montage: Montage,
    store: AnyStore,
    backend: Backend,
    clock: Clock,
    notify: Callable[[], None],
    *,
    marks: Sequence[Mark] = (),
    backlog: Backlog | None = None,
    resumed_s: float | None = None,
) -> Pipeline:
    """Build the pipeline of a session that has begun in ``store``; see `Pipeline`."""
    conditioner = Conditioner(
        montage,
        session.sfreq_hz,
        session.start_s,
        session.start_utc,
        Gain(session.gain),
        first_epoch=None if resumed_s is None else store.n_epochs(),
    )
    return Pipeline(
        session,
        conditioner,
        Stager(backend, clock),
        store,
        notify=notify,
        marks=marks,
        backlog=backlog,
        resumed_s=resumed_s,
    )


class EventServer:
    """The event server of a run: the user's, the monitor's own, or none."""

    def __init__(self, url: str | None, own_server: RedisServer | None = None) -> None:
        self.url = url
        """URL of the server, with the monitor's login; None in a run that publishes no events."""
        self.app_url = url if own_server is None else own_server.url
        """The same for other programs of the user: the monitor's own server gives them less."""
        self._own_server = own_server

    def keep_running(self) -> None:
        """Start the monitor's own server again if it died, hangs or refuses.

        Call it often; it never raises.

        The new server is empty. Publishers notice that and send the whole session again.
        """
        if self._own_server is not None:
            self._own_server.ensure_running()


@contextmanager
def event_server(options: RunOptions, clock: Clock) -> Iterator[EventServer]:
    """Yield the event server of a run. The monitor's own server ends with the block."""
    if options.no_redis or options.redis is not None:
        yield EventServer(None if options.no_redis else options.redis)
        return
    with RedisServer(protected=True, clock=clock) as server:
        _log.info("Follow the events elsewhere with: sleep-monitor watch --redis %s", server.url)
        yield EventServer(server.own_url, server)


class EventDelivery:
    """Sends the events of one session to the event server and over the ways out, if there are any.

    - ``left`` says what becomes of the events that reach no server.
    - ``timeline`` is the time of a live night; None: a replay.
    - ``ways``: one carrier for each way out.
    """

    def __init__(
        self,
        store: NightStore,
        session_id: str,
        url: str | None,
        clock: Clock,
        left: str = LATER,
        timeline: Timeline | None = None,
        ways: Sequence[Carrier] = (),
    ) -> None:
        self._left = left
        self._ways = ways
        self._publisher = (
            None if url is None else Publisher(store, session_id, url, clock, timeline=timeline)
        )
        self._finished = False

    def start(self) -> None:
        """Start to publish. Events that the store already holds are sent first."""
        if self._publisher is not None:
            self._publisher.start()
        for way in self._ways:
            way.start()

    def notify(self) -> None:
        """Wake the publisher and the ways: the store holds new events. Never waits."""
        if self._publisher is not None:
            self._publisher.notify()
        for way in self._ways:
            way.notify()

    def state(self) -> Delivery:
        """Return the numbers of events sent and waiting.

        Raises `MonitorError` if the store cannot be read.
        """
        return NO_DELIVERY if self._publisher is None else self._publisher.delivery()

    def finish(self) -> None:
        """Send the waiting events for a few seconds, stop, and warn if some are left."""
        if self._finished:
            return
        self._finished = True
        for way in self._ways:  # all of them end at the same time as the publisher
            way.end()
        if self._publisher is not None and (n_left := self._publisher.drain()):
            _log.warning("%d events did not reach the server; %s", n_left, self._left)
        for way in self._ways:
            if n_left := way.finish():
                _log.warning("%d events did not go out by %s; %s", n_left, way.name, self._left)

    def close(self) -> None:
        """Stop at once. The next run of the same night sends the events that are left."""
        for way in self._ways:
            way.end(timeout_s=0.0)
        if self._publisher is not None:
            self._publisher.drain(timeout_s=0.0)
        for way in self._ways:
            way.close()
