"""The long run: `python -m tests.fuzz --minutes 15`.

It shares the time among the kinds, or runs the same number of cases of each. At the end it prints a
table in Markdown. It exits with 1 if a case broke the rule. A case is repeated by its kind and
seed: `python -m tests.fuzz --kind edf --seed 123 --cases 1`.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path

from tests.fuzz.bounds import Ending, random_of
from tests.fuzz.kinds import KINDS
from tests.fuzz.worker import CRASH, Result, Worker

PROGRESS_S = 10.0
MOST_SHOWN = 20
"""Crashes of a kind that are printed in full; the others are only counted and saved."""


@dataclass
class Tally:
    """The cases of a kind so far."""

    endings: Counter[str] = field(default_factory=Counter)
    computing_s: float = 0.0
    slowest_s: float = 0.0
    largest_mb: float = 0.0

    def add(self, result: Result, elapsed_s: float) -> None:
        self.endings[result.ending] += 1
        self.computing_s += elapsed_s
        self.slowest_s = max(self.slowest_s, result.seconds)
        self.largest_mb = max(self.largest_mb, result.grown_mb)

    @property
    def cases(self) -> int:
        return self.endings.total()


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    tallies = {name: Tally() for name in options.kind or KINDS}
    start_s = time.monotonic()
    try:
        for result, elapsed_s in _results(list(tallies), options):
            tally = tallies[result.kind]
            tally.add(result, elapsed_s)
            if result.ending == CRASH:
                _report(result, tally.endings[CRASH], options.failures)
    except KeyboardInterrupt:
        print("stopped")
    print(
        f"\n{_table(tallies)}\n\n{time.monotonic() - start_s:.0f} s, {options.processes} processes"
    )
    return 1 if any(tally.endings[CRASH] for tally in tallies.values()) else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description="Try inputs that nobody would write by hand."
    )
    parser.add_argument("--minutes", type=float, help="end after so long (default: 5)")
    parser.add_argument("--cases", type=int, help="cases of each kind; without it, until the end")
    parser.add_argument("--kind", action="append", choices=list(KINDS), help="only this kind")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first case")
    parser.add_argument("--failures", type=Path, help="folder that receives the inputs that failed")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(arguments)
    if options.minutes is None and options.cases is None:
        options.minutes = 5.0
    return options


def _results(names: list[str], options: argparse.Namespace) -> Iterator[tuple[Result, float]]:
    """Yield each result, and the seconds that its case took by the clock."""
    end_s = float("inf") if options.minutes is None else time.monotonic() + 60 * options.minutes
    last = options.seed + (options.cases if options.cases is not None else sys.maxsize)
    spent_s = dict.fromkeys(names, 0.0)
    next_seed = dict.fromkeys(names, options.seed)
    began_s: dict[Worker, float] = {}
    workers = [Worker() for _ in range(options.processes)]
    progress_s, done = time.monotonic() + PROGRESS_S, 0
    try:
        while True:
            for worker in workers:
                open_kinds = [name for name in names if next_seed[name] < last]
                if worker.idle and open_kinds and time.monotonic() < end_s:
                    # The kind that has had the least time is next.
                    name = min(open_kinds, key=spent_s.__getitem__)
                    worker.run(name, next_seed[name])
                    next_seed[name] += 1
                    began_s[worker] = time.monotonic()
            if all(worker.idle for worker in workers):
                return
            wait([worker.connection for worker in workers if not worker.idle], timeout=1.0)
            for worker in workers:
                result = worker.result()
                if result is not None:
                    elapsed_s = time.monotonic() - began_s[worker]
                    spent_s[result.kind] += elapsed_s
                    done += 1
                    yield result, elapsed_s
            if time.monotonic() > progress_s:
                progress_s += PROGRESS_S
                print(f"{done} cases", file=sys.stderr, flush=True)
    finally:
        for worker in workers:
            worker.close()


def _report(result: Result, number: int, failures: Path | None) -> None:
    if number <= MOST_SHOWN:
        print(f"{result.kind} {result.seed}: {result.story[:200]!r}: {result.trouble[:500]}")
    if failures is not None:
        case = KINDS[result.kind]().generate(random_of(result.kind, result.seed))
        folder = failures / f"{result.kind}-{result.seed}"
        folder.mkdir(parents=True, exist_ok=True)
        case.write(folder)
        (folder / "trouble.txt").write_text(
            f"{case.story!r}\n{result.trouble}\n", encoding="utf-8", errors="replace"
        )


def _table(tallies: dict[str, Tally]) -> str:
    """Return the table of the run in Markdown."""
    lines = [
        "| kind | cases | errors | right results | crashes | slowest, s | largest memory, MB |",
        "|---|---|---|---|---|---|---|",
    ]
    total = Tally()
    for name, tally in tallies.items():
        lines.append(_row(name, tally))
        total.endings += tally.endings
        total.slowest_s = max(total.slowest_s, tally.slowest_s)
        total.largest_mb = max(total.largest_mb, tally.largest_mb)
    return "\n".join([*lines, _row("all", total)])


def _row(name: str, tally: Tally) -> str:
    endings = tally.endings
    counts = (tally.cases, endings[Ending.ERROR], endings[Ending.RIGHT], endings[CRASH])
    numbers = " | ".join(f"{count:,}" for count in counts)
    return f"| {name} | {numbers} | {tally.slowest_s:.2f} | {tally.largest_mb:.0f} |"


if __name__ == "__main__":
    sys.exit(main())
