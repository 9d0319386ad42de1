"""The contract of a live source: a headband or a stream that is polled, and that comes and goes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from monitor.config import BrainflowConfig, LslConfig
from monitor.types import EegChunk


@dataclass(frozen=True, slots=True)
class Device:
    """The device that a source has found.

    - ``name``: for people, such as "LSL stream 'Muse-1A2B' from laptop". It becomes the ``source``
      of the session and of its events.
    - ``channels``: its EEG channels, by name, distinct, in the order of the rows of its chunks.
    - ``sfreq_hz``: the nominal rate, or the measured one if the device states none. At least 80 Hz
      (`monitor.types.MIN_SFREQ_HZ`).
    - ``candidates``: derivations to stage, best first, by name ("AF7-TP9", or one channel). If
      empty, the names of the channels decide (`live_montage.live_montage`).
    - ``notes``: sentences for the user; the monitor logs them once, when the night begins.
    - ``identity``: a text for people that names this very device, the same in every run. The
      night's file stores it, and a night never goes on with another device. If empty, the source
      cannot tell its devices apart, and the user's options decide (`source_key`).
    """

    name: str
    channels: tuple[str, ...]
    sfreq_hz: float
    candidates: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    identity: str = ""


@dataclass(frozen=True, slots=True)
class KnownDevice:
    """The device of a stored night, for a source that is opened to go on with that night.

    ``required``: True: no other device will do, since the night broke off. False: the night was
    ended in order, so another device may be taken if this one is not there: it begins a night.
    """

    identity: str
    required: bool


def source_key(config: LslConfig | BrainflowConfig) -> str:
    """Return the name of a source that is the same in every run with the same options.

    The night's file stores it. A later run continues the night only if its key is equal. ``unit``
    is not part of the key: a night that began with the wrong unit may continue with the right one.
    """
    fields = config.model_dump(mode="json", exclude={"kind", "unit"}, exclude_none=True)
    if isinstance(config, BrainflowConfig):
        # BrainFlow's names are accepted in any spelling: 'Muse-S' and 'muse_s' are one board.
        fields["board"] = re.sub(r"[\s-]", "_", config.board.lower())
    return f"{config.kind}:" + ",".join(f"{key}={fields[key]}" for key in sorted(fields))


def has_appeared(status: str) -> bool:
    """Return True if a source with this status has found its device, and samples come.

    The limit of ``--wait`` does not count such time: the source measures the rate first.
    """
    return status.startswith(("streaming", "measuring", "dropping"))


class LiveSource(Protocol):
    """A headband or a stream, from the first search for it until morning.

    The source looks for its device by itself, and looks for it again whenever it is away. The
    monitor never reopens a source because the device is silent. ``ADDING.md`` shows a complete
    source of some 20 lines; `scripted.ScriptedSource` is one for tests.

    **Threads.** The monitor creates, polls and closes a source in one thread, the sleeper's. A
    source may start threads and processes of its own. Attributes that they share with `poll` must
    be safe to read at any moment. Opening a source obeys the rules of `poll`: it returns at once,
    with or without a device, and raises `InputError` only for what no waiting can mend.

    **Chunks.** `poll` returns `EegChunk` objects of at least one sample each:

    - ``data_uv``: float32 (n_channels, n), microvolts, one row for each of ``device.channels``. If
      a channel alone has no value, its samples are NaN: the monitor judges the channel as flat. A
      sample that is NaN in all channels counts as invalid and is dropped.
    - ``times_s``: float64 (n,), the moment at which each sample was taken, on the `Timeline` that
      the source received: unix seconds that never step. The first time of all must be finite: the
      epoch grid begins there.
    - ``channels`` and ``sfreq_hz`` are those of ``device``. ``reached_s`` stays None.

    **Times.** The source brings the stamps of its device onto the Timeline and smooths their jitter
    (`sample_clock.SampleClock`). Lost samples leave a gap in the times; later samples never move
    forward to close it. If the device's clock is set, the times do not step. The monitor then does
    this with what the times show:

    - Samples that overtook each other are put in order if they are at most 0.5 s late. Later ones
      count as late, samples closer than half a period count as duplicates; both are dropped.
    - A gap of up to 0.1 s is filled, a longer one is lost.
    - No sample for 5 s: the signal is lost, and the monitor reports it. An epoch stays open
      10 s longer for samples that arrive late, then it is stored as missing.
    - A step forward of more than 24 h is an error.

    **What the night remembers.** `source_key` of the options, ``clock_offset_s`` and
    ``device.identity`` are stored in the night's file. A later run that continues the night
    receives ``clock_offset_s`` again, unless the machine was restarted in between, and the identity
    as a `KnownDevice`. The monitor discards the samples of a device with another identity.
    """

    @property
    def device(self) -> Device | None:
        """The device; None until it was found for the first time, and never None after that.

        It must be known when `poll` returns its first chunk. While the device is away it stays as
        it was. If another device is found, or the same one with other channels, this is a new
        object: the monitor then checks that it has the channels of the night, at a rate within 2 %
        of the night's. If not, it discards the samples and shows the reason on the screen and in
        the log.
        """
        ...

    @property
    def clock_offset_s(self) -> float | None:
        """Timeline minus the device's own clock, in seconds.

        None if the device has no clock, or if the offset is not known yet. The monitor stores each
        change of 50 ms or more.
        """
        ...

    @property
    def status(self) -> str:
        """A few words for the screen on what the source is doing, with or without a device.

        Such as "waiting for ...", "streaming", "trying again in 4 s: the port is in use". The
        monitor reads it several times a second: it must return at once and never raise.
        """
        ...

    def poll(self) -> list[EegChunk]:
        """Return the samples that arrived since the last call, in order of arrival; [] if none.

        The monitor calls it every 50 ms (less often with more than 16 sleepers). It must return at
        once: the same thread closes epochs, stages and stores. What takes longer than some
        milliseconds, such as a search or a connection, belongs in a thread or process.

        While the device is away, `poll` returns []. It does not raise: a link that breaks, a device
        that is switched off and a port that is in use are ordinary events of a night. The source
        tries again, with waits that grow (`monitor.backoff.Backoff`).

        Raises `InputError` for what no waiting can mend, such as a board that does not exist.
        Before the night has begun, this error ends the sleeper's monitor. Any other exception, and
        an `InputError` after the night has begun, ends one attempt: the monitor logs it, closes the
        source, waits up to 60 s, opens a new source and continues the same night.
        """
        ...

    def close(self) -> None:
        """Release the device, and end all threads and processes of the source.

        The monitor calls it once, also after `poll` has raised, and calls nothing after it. The
        device may be away or hang: the call must return within a few seconds, and must not raise. A
        run that ends leaves a source that needs more than 10 s, and names its sleeper in an error.
        """
        ...
