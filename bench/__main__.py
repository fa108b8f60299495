# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure ours and the peers, keep the figures, and write docs/performance.md. See bench/README.md."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import functools
import importlib.metadata
import os
import platform
import subprocess
import typing as t
from pathlib import Path

import msgspec

from bench.measuring import measure
from bench.ours import ROOT
from bench.page import render
from bench.pair import Pair, running_pair
from bench.peers import missing, pgcopydb
from bench.results import Results
from bench.works import WORKS, Work

_RESULTS: t.Final = ROOT / "bench" / "results"
_PAGE: t.Final = ROOT / "docs" / "performance.md"


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--only", default="", help=f"some of {','.join(work.name for work in WORKS)}")
    parser.add_argument("--scale", type=float, default=1.0, help="of all databases but the incident's")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--render",
        type=Path,
        nargs="+",
        metavar="JSON",
        help="measure nothing: write the page of these results, of each work the last ones that are named",
    )
    options = parser.parse_args()
    if options.render:
        kept = [msgspec.json.decode(path.read_bytes(), type=Results) for path in options.render]
        results = functools.reduce(Results.renewed, kept)
    else:
        results = run(chosen(options.only), options.scale, options.rounds)
    _PAGE.write_text(render(results), encoding="utf-8")
    print(f"Written: {_PAGE.relative_to(ROOT)}")


def chosen(names: str) -> list[Work]:
    """Return the works of these names, all where none is named.

    :raises SystemExit: when there is none of a name
    """
    known = {work.name: work for work in WORKS}
    wanted = [name for name in names.replace(",", " ").split() if name] or list(known)
    if unknown := [name for name in wanted if name not in known]:
        raise SystemExit(f"There is no work {', '.join(unknown)}. There are {', '.join(known)}.")
    return [known[name] for name in wanted]


def run(works: list[Work], scale: float, rounds: int) -> Results:
    """Measure works, and keep the figures of those that are done, whatever becomes of the next."""
    absent = [f"{peer}: pgcopydb is not installed" for peer in sorted(missing())]
    absent += [f"{work.name}: {work.script} is not here" for work in works if not work.is_here]
    print("\n".join(f"Left out: {what}" for what in absent))
    path = _RESULTS / f"{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%SZ}.json"
    path.parent.mkdir(exist_ok=True)
    with running_pair() as pair:
        results = Results(_versions(pair), _machine(), absent)
        for work in works:
            if work.is_here:
                began, commit = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), _commit()
                measured = measure(work, pair, scale if work.scales else 1.0, rounds)
                results.measured.append(dataclasses.replace(measured, began=began, commit=commit))
                path.write_bytes(msgspec.json.format(msgspec.json.encode(results)))
    print(f"Written: {path.relative_to(ROOT)}")
    return results


def _versions(pair: Pair) -> dict[str, str]:
    program = pgcopydb()
    return {
        "PostgreSQL": pair.version,
        "pgcopydb": _told(program, "--version").splitlines()[0] if program else "not installed",
        "ansible-core": importlib.metadata.version("ansible-core"),
        "Python": platform.python_version(),
    }


def _commit() -> str:
    return _told("git", "-C", str(ROOT), "describe", "--always", "--dirty")


def _machine() -> str:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    model = models[0].partition(":")[2].strip() if models else platform.machine()
    return f"{os.cpu_count()} processors ({model}), {memory / 2**30:.0f} GB, Linux {platform.release()}"


def _told(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    main()
