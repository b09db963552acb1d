# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.training_memory`: memory and disk that a training takes whose images do not fit in memory."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from itertools import islice
from pathlib import Path

from benchmarks import record
from benchmarks.machine import describe
from benchmarks.tables import NOT_MEASURED, markdown_table
from recipes.command import add_trial, parser, run

# Pairs that train, validate and test, and how many phantoms there are under their names.
LISTS, DIFFERENT = {"train": 19_900, "validation": 100, "test": 1}, 200
GIB = 8
_SIDES = (288, 256)
_BATCH, _WORKERS = 8, 2
# The cost of the images is measured, not that of the network and of the augmentation.
_SETTINGS = {
    "network_def#channels": [4, 8],
    "network_def#strides": [2],
    "batch_size": _BATCH,
    "num_workers": _WORKERS,
    "epochs": 1,
    # Drawn of all pairs.
    "epoch_size": 400,
    "progress": False,
}


def main(arguments: list[str] | None = None) -> None:
    """Measure, except with `--tables-only`, and rewrite the table."""
    options = parser("benchmarks.training_memory", "Train on phantoms that 8 GiB do not hold.")
    add_trial(options)
    options = options.parse_args(arguments)
    if options.tables_only:
        record.publish(tables(record.load("training_memory", None)))
        return
    # So little that the images of a trial do not fit either.
    trial = dict.fromkeys(LISTS, 16), 4, 1
    numbers = measure(*(trial if options.trial else (LISTS, DIFFERENT, GIB)))
    if options.trial:
        record.show(tables(numbers))
        return
    record.save("training_memory", numbers)
    record.publish(tables(numbers))


def write_pairs(folder: Path, pairs: int, different: int) -> list[str]:
    """Write phantoms, and links to their files until there are enough pairs; return the names."""
    from lungseg.data import write_phantoms

    write_phantoms(folder, different, size=_SIDES)
    names = [f"phantom_{number + 1:04d}" for number in range(different)]
    for number in range(different, pairs):
        names.append(f"{names[number % different]}_again_{number:05d}")
        for part in ("CXR_png", "masks"):
            os.link(folder / part / f"{names[number % different]}.png", folder / part / f"{names[-1]}.png")
    return names


def fill(dataset) -> tuple[int, float]:
    """Fill a cache on disk: the phantoms are prepared, and their files are copied for the links.

    Returns:
        The number of cases that were prepared, and the processor's seconds of that.
    """
    files, seconds, links = {}, 0.0, []
    for case in dataset.data:
        phantom, _, link = case["name"].partition("_again_")
        if link and phantom in files:
            links.append((files[phantom], dataset.file(case)))
            continue
        began = cpu_seconds()
        dataset._cachecheck(case)
        seconds += cpu_seconds() - began
        files[phantom] = dataset.file(case)
    for source, file in links:
        shutil.copyfile(source, file)
    return len(files), seconds


def cpu_seconds() -> float:
    """Return the processor's time of this process and of its children, those that have ended included."""
    import psutil

    own = psutil.Process()
    total = sum(own.cpu_times()[:4])
    for child in own.children():
        try:
            total += sum(child.cpu_times()[:2])
        except psutil.Error:
            continue
    return total


def measure(lists: dict[str, int], different: int, gib: float) -> dict:
    """Fill the cache of a training with so many GiB of memory to count on, read it whole, and train an epoch.

    Returns:
        {"machine", "workers", "pairs" (trained and validated on), "different", "gib", "kind" (see
        :class:`lungseg.data.Caches`), "line", "files", "disk_bytes", "peak_bytes", "swapped_bytes", "steps",
        "prepare_seconds" and "read_seconds" (the processor's, for a pair)}.
    """
    import psutil
    from monai.data import DataLoader

    from benchmarks.peak_memory import PeakMemory
    from lungseg.data import write_split
    from lungseg.model.config import build_workflow, plain_errors
    from lungseg.model.paths import config_file

    swapped = psutil.swap_memory().sout
    with tempfile.TemporaryDirectory() as folder, PeakMemory() as memory:
        data, split = Path(folder, "data"), Path(folder, "lists.json")
        names = iter(write_pairs(data, sum(lists.values()), different))
        write_split(split, {section: list(islice(names, count)) for section, count in lists.items()}, 0)
        settings = _SETTINGS | {"dataset_dir": str(data), "data_source#splits_file": str(split), "cache_memory": gib}
        settings |= {"ckpt_dir": folder, "output_dir": folder} | _without_augmentation()
        workflow = build_workflow([config_file("train")], settings, "train")
        with plain_errors():
            content = workflow.parser.get_parsed_content
            caches, datasets = content("caches"), [content(f"{part}#dataset") for part in ("train", "validate")]
            prepared, prepare_seconds = map(sum, zip(*map(fill, datasets), strict=True))
            files = [file.stat().st_size for file in caches.folder.glob("*.case")]
            began = cpu_seconds()
            for _batch in DataLoader(datasets[0], batch_size=_BATCH, num_workers=_WORKERS):
                pass
            read_seconds = cpu_seconds() - began
            workflow.run()
            steps = content("train#trainer").state.iteration
        workflow.finalize()
    return {
        "machine": describe(),
        "workers": _WORKERS,
        "pairs": sum(map(len, datasets)),
        "different": different,
        "gib": gib,
        "kind": caches.kind,
        "line": caches.line.replace(folder, "RUN"),
        "files": len(files),
        "disk_bytes": sum(files),
        "peak_bytes": memory.bytes,
        "swapped_bytes": psutil.swap_memory().sout - swapped,
        "steps": steps,
        "prepare_seconds": prepare_seconds / prepared,
        "read_seconds": read_seconds / len(datasets[0]),
    }


def _without_augmentation() -> dict:
    """Return the setting that leaves of the random transforms only the first, which makes all images equally large."""
    from lungseg.model.config import read_config
    from lungseg.model.paths import config_file

    return {"train#random_transforms": read_config([config_file("train")], {})["train"]["random_transforms"][:1]}


def tables(numbers: dict | None) -> dict[str, str]:
    """Return name -> Markdown of the table about a training whose images do not fit in memory."""
    if numbers is None:
        return {"training-memory": NOT_MEASURED}
    rows = [
        ["Pairs trained and validated on", f"{numbers['pairs']:,}"],
        ["Memory to count on", f"{numbers['gib']} GiB"],
        ["Peak memory, the workers included", f"{numbers['peak_bytes'] / 2**30:.2f} GiB"],
        ["Swapped out", f"{numbers['swapped_bytes'] / 2**20:.0f} MiB"],
        [f"{numbers['files']:,} files of the cache", f"{numbers['disk_bytes'] / 2**30:.2f} GiB"],
        ["Processor's time to prepare a pair and to write it", f"{numbers['prepare_seconds'] * 1000:.1f} ms"],
        ["Processor's time to read it", f"{numbers['read_seconds'] * 1000:.1f} ms"],
    ]
    note = (
        f"{numbers['machine']}; {numbers['workers']} workers; {numbers['different']} phantoms of {_SIDES[0]} x "
        f"{_SIDES[1]} pixels under many names, each with a file of its own in the cache, copied from those of the "
        f"{numbers['different']}; all files read, then "
        f"{numbers['steps']} steps of a network of two layers, without augmentation. `{numbers['line']}`"
    )
    return {"training-memory": f"{markdown_table(['Figure', 'Measured'], rows)}\n\n{note}"}


if __name__ == "__main__":
    sys.exit(run(main))
