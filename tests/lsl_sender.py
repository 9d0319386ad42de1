"""A real LSL sender, as a program.

    python -m tests.lsl_sender --name Band --rate 256 --unit microvolts --seconds 3 --speed 20

The first channel holds the number of its sample, so a lost or misplaced sample shows. The other
channels hold a sine of 10 uV. It prints "ready" once its stream can be found, and sends once
somebody listens. With --until it prints "at true pace" once it has sent so much.
"""

from __future__ import annotations

import argparse
import math
import sys
import time

import numpy as np
import numpy.typing as npt
import pylsl

I64 = npt.NDArray[np.int64]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add = parser.add_argument
    add("--name", default="Band")
    add("--type", default="EEG")
    add("--source-id", help="default: the name")
    add("--labels", default="TP9,AF7,AF8,TP10", help='"": channels have no description')
    add("--types", default="", help="type of each channel")
    add("--unit", default="microvolts", help="unit of all channels, or one for each")
    add("--format", default="float32")
    add("--rate", type=float, default=256.0)
    add("--nominal", type=float, help="rate in the description; 0: irregular")
    add("--seconds", type=float, default=3600.0)
    add("--speed", type=float, default=1.0)
    add("--until", type=float, default=math.inf, help="seconds of signal before --speed is 1")
    add("--ago", type=float, default=3.6, help="seconds of signal that are sent at once, first")
    add("--channels", type=int, help="number of channels, if there are no labels")
    add("--clock", type=float, default=0.0, help="seconds that its clock is ahead of LSL's")
    add("--step", type=float, default=0.0, help="seconds that its clock steps")
    add("--step-at", type=float, default=math.inf, help="seconds of signal before the step")
    add("--untimed", type=int, default=0, help="number of first samples without a time")
    return parser.parse_args()


def _info(options: argparse.Namespace, labels: list[str], n_channels: int) -> pylsl.StreamInfo:
    nominal = options.rate if options.nominal is None else options.nominal
    source_id = options.name if options.source_id is None else options.source_id
    info = pylsl.StreamInfo(
        options.name, options.type, n_channels, nominal, options.format, source_id
    )
    channels = info.desc().append_child("channels")
    units = options.unit.split(",") * (1 if "," in options.unit else len(labels))
    kinds = options.types.split(",") if options.types else [""] * len(labels)
    for label, kind, unit in zip(labels, kinds, units, strict=True):
        channel = channels.append_child("channel")
        channel.append_child_value("label", label)
        if unit:
            channel.append_child_value("unit", unit)
        if kind:
            channel.append_child_value("type", kind)
    return info


def _push(
    outlet: pylsl.StreamOutlet, options: argparse.Namespace, start_s: float, numbers: I64, n: int
) -> None:
    """Send the samples ``numbers`` of ``n`` channels; the first one's time is ``start_s``."""
    sine = 10.0 * np.sin(2 * np.pi * 10.0 * numbers / options.rate)
    data = np.repeat(sine[:, None], n, axis=1)
    data[:, 0] = numbers
    stamps = start_s + options.clock + numbers / options.rate
    stamps[numbers < options.untimed] = np.nan
    stamps += np.where(numbers >= options.step_at * options.rate, options.step, 0.0)
    if options.format == "string":
        outlet.push_chunk([[str(value) for value in row] for row in data], stamps.tolist())
    else:
        outlet.push_chunk(data.astype(options.format.replace("double64", "float64")), stamps)


def main() -> None:
    options = _options()
    labels = options.labels.split(",") if options.labels else []
    n_channels = options.channels or len(labels)
    outlet = pylsl.StreamOutlet(_info(options, labels, n_channels), 0, 360)
    _print("ready")
    outlet.wait_for_consumers(60.0)

    start_s, n_sent = pylsl.local_clock() - options.ago, 0
    n_samples, fast = int(options.seconds * options.rate), True
    while n_sent < n_samples:
        since_s = pylsl.local_clock() - start_s - options.ago
        signal_s = options.ago + since_s * options.speed
        if signal_s > options.until:
            # The signal reached --until after so long; from then on it runs at true pace.
            signal_s = options.until + since_s - (options.until - options.ago) / options.speed
        numbers = np.arange(n_sent, min(int(signal_s * options.rate), n_samples))
        if numbers.size:
            _push(outlet, options, start_s, numbers, n_channels)
            n_sent += numbers.size
        if fast and signal_s > options.until:
            fast = False
            _print("at true pace")
        time.sleep(0.02)
    time.sleep(3600.0)


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
