# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.hostile`: segment a folder of hostile files under a limit of memory."""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from PIL import Image

from benchmarks.machine import describe
from benchmarks.record import ROOT, load, publish, save
from benchmarks.tables import NOT_MEASURED, markdown_table
from lungseg.io.limits import MAX_PIXELS
from lungseg.utils.errors import LungsegError
from recipes.command import parser, run

_GROUP = Path("/sys/fs/cgroup/memory/lungseg-benchmark")
_SEED = 0
# Files that `_write_large` writes.
_LARGE = 5


def main(arguments: list[str] | None = None) -> None:
    """Segment, check and write the table."""
    options = parser("benchmarks.hostile", __doc__ or "")
    options.add_argument("--files", type=int, default=200, help="number of hostile files (default: %(default)s)")
    options.add_argument("--gigabytes", type=float, default=2.0, help="limit of memory (default: %(default)s)")
    chosen = options.parse_args(arguments)
    if not chosen.tables_only:
        with tempfile.TemporaryDirectory(prefix="lungseg-hostile-") as folder:
            save("hostile", {"machine": describe(), **_measure(Path(folder), chosen.files, chosen.gigabytes)})
    publish(tables(load("hostile", None)))


def _measure(folder: Path, count: int, gigabytes: float) -> dict:
    hostile, good = _make_files(folder / "in", count)
    call = [sys.executable, "-m", "lungseg", "predict", folder / "in", "-o", folder / "out"]
    began = time.perf_counter()
    with _limited(int(gigabytes * 1e9)) as (group, peak):
        done = subprocess.run([*group, *call], capture_output=True, text=True)
        seconds, used = time.perf_counter() - began, peak()
    if not (folder / "out" / "report.json").is_file():
        raise LungsegError(f"the run ended with {done.returncode} and no report: {done.stderr[-2000:]}")
    with open(folder / "out" / "report.json", encoding="utf-8") as file:
        rows = {Path(row["file"]).name: row for row in json.load(file)["files"]}
    return {
        "exit_status": done.returncode,
        "hostile": len(hostile),
        "reported": len(hostile & rows.keys()),
        "good": len(good),
        "good_done": sum(rows[name]["status"] in ("ok", "flagged") for name in good & rows.keys()),
        "seconds": round(seconds, 1),
        "peak_bytes": used,
        "limit_gigabytes": gigabytes,
        **_slowest(folder / "in", hostile),
    }


def _slowest(folder: Path, hostile: set[str]) -> dict:
    """Return how long the slowest file takes to be read alone."""
    from lungseg.io import read_radiograph

    seconds = {}
    for name in sorted(hostile):
        began = time.perf_counter()
        with suppress(LungsegError):
            read_radiograph(folder / name)
        seconds[name] = time.perf_counter() - began
    slowest = max(seconds, key=seconds.__getitem__)
    return {"slowest": ascii(slowest), "slowest_seconds": round(seconds[slowest], 2)}


def _make_files(folder: Path, count: int) -> tuple[set[str], set[str]]:
    """Write the hostile files of the tests, mutations of good ones, and good ones; return the names of both kinds."""
    sys.path.insert(0, str(ROOT / "tests" / "support"))
    from hostile_files import BAD, GOOD, write_file

    folder.mkdir(parents=True)
    for name, content in GOOD.items():
        write_file(folder / name, content)
    for name, (content, _) in BAD.items():
        write_file(folder / name, content)
    chance = random.Random(_SEED)
    sound = [(name, content) for name, content in sorted(GOOD.items()) if isinstance(content, bytes)]
    mutated = set()
    for number in range(max(0, count - len(BAD) - _LARGE)):
        name, content = sound[number % len(sound)]
        changed = bytearray(content)
        for _ in range(chance.randint(1, 4)):
            changed[int(len(changed) * chance.random() ** 4)] = chance.choice((0, 127, 255, chance.randrange(256)))
        # The name's ending is not what decides.
        mutated.add(f"mutation-{number}.png")
        (folder / f"mutation-{number}.png").write_bytes(changed)
    return BAD.keys() | mutated | _write_large(folder), set(GOOD)


def _write_large(folder: Path) -> set[str]:
    """Write pictures of a few bytes and of the largest size that is read; their results are not looked at."""
    side, names = math.isqrt(MAX_PIXELS), set()
    for mode in ("L", "I;16", "RGBA"):
        names.add(f"large-{mode[0]}.png")
        Image.new(mode, (side, side)).save(folder / f"large-{mode[0]}.png", compress_level=1)
    Image.new("L", (side, side)).save(folder / "large.jpg", progressive=True)
    Image.new("L", (side, side)).save(folder / "large.tif", compression="tiff_lzw")
    return {*names, "large.jpg", "large.tif"}


@contextmanager
def _limited(size: int) -> Iterator:
    """Offer a command that starts another one in a group of limited memory, and a function for the group's peak.

    Raises:
        LungsegError: this machine has no such groups, or they may not be made.
    """
    try:
        _GROUP.mkdir(exist_ok=True)
        (_GROUP / "memory.limit_in_bytes").write_text(str(size))
    except OSError as error:
        what = f"no group of limited memory can be made ({error})"
        raise LungsegError(what, _GROUP, "run it as root, on Linux with control groups of version 1") from error
    enter = f'echo $$ > {_GROUP}/cgroup.procs; exec "$@"'
    try:
        yield ["sh", "-c", enter, "sh"], lambda: int((_GROUP / "memory.max_usage_in_bytes").read_text())
    finally:
        with suppress(OSError):
            _GROUP.rmdir()


def tables(found: dict | None) -> dict[str, str]:
    """Return the table of the numbers that were kept, by its name."""
    return {"hostile": _table(found) if found else NOT_MEASURED}


def _table(found: dict) -> str:
    row = [
        f"{found['limit_gigabytes']:g} GB",
        f"{found['reported']} of {found['hostile']}",
        f"{found['good_done']} of {found['good']}",
        f"{found['seconds']:.0f} s",
        f"{found['slowest_seconds']:.1f} s",
        f"{found['peak_bytes'] / 1e9:.2f} GB",
    ]
    header = [
        "Limit of memory",
        "Hostile files reported",
        "Good files segmented",
        "Run",
        "Slowest, alone",
        "Peak memory",
    ]
    return markdown_table(header, [row]) + f"\n\nMeasured on {found['machine']}."


if __name__ == "__main__":
    sys.exit(run(main))
