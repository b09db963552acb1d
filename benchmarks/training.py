# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.training`: speed, time of waiting for data and peak memory of a training."""

from __future__ import annotations

import sys
import tempfile
import time

from benchmarks import record
from benchmarks.machine import describe
from benchmarks.tables import NOT_MEASURED, markdown_table
from recipes.command import add_trial, data_folder, parser, run

EPOCHS = 3
_TRIAL = {"image_size": 64, "data_source#sets": ["montgomery"]}


def main(arguments: list[str] | None = None) -> None:
    """Measure, except with `--tables-only`, and rewrite the table."""
    options = parser("benchmarks.training", "Train a few epochs by train.json and throw the weights away.")
    add_trial(options)
    options = options.parse_args(arguments)
    if options.tables_only:
        record.publish(tables(record.load("training", None)))
        return
    numbers = measure(data_folder(options), _TRIAL if options.trial else {})
    if options.trial:
        record.show(tables(numbers))
        return
    record.save("training", numbers)
    record.publish(tables(numbers))


class EpochClock:
    """Record the duration of each epoch of a MONAI Trainer, and its time of waiting for batches.

    An epoch lasts from its start to its last step: validation after it does not count. Its waiting includes the
    start of the data loader's workers.

    Attributes:
        epochs: {"seconds", "waiting", "images"} of each.
    """

    def __init__(self) -> None:
        self.epochs: list[dict] = []
        self._began = self._asked = 0.0

    def attach(self, engine) -> None:
        """Attach to the trainer."""
        from ignite.engine import Events

        engine.add_event_handler(Events.EPOCH_STARTED, self._start)
        engine.add_event_handler(Events.GET_BATCH_STARTED, self._ask)
        engine.add_event_handler(Events.GET_BATCH_COMPLETED, self._get)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._step)

    def _start(self, engine) -> None:
        self._began = time.perf_counter()
        self.epochs.append({"seconds": 0.0, "waiting": 0.0, "images": 0})

    def _ask(self, engine) -> None:
        self._asked = time.perf_counter()

    def _get(self, engine) -> None:
        self.epochs[-1]["waiting"] += time.perf_counter() - self._asked

    def _step(self, engine) -> None:
        self.epochs[-1]["images"] += len(engine.state.batch)
        self.epochs[-1]["seconds"] = time.perf_counter() - self._began


def measure(data: str, overrides: dict) -> dict:
    """Train `EPOCHS` epochs and validate once.

    Args:
        data: folder of the data set.
        overrides: items of train.json and their values.

    Returns:
        {"machine", "threads", "workers", "batch_size", "pairs" (in memory: trained and validated on), "epochs" (see
        `EpochClock`), "peak_bytes"}.
    """
    import torch

    from benchmarks.peak_memory import PeakMemory
    from lungseg.model.config import build_workflow, plain_errors
    from lungseg.model.paths import config_file

    settings = {"dataset_dir": data, "epochs": EPOCHS, "val_interval": EPOCHS, "progress": False} | overrides
    clock = EpochClock()
    with tempfile.TemporaryDirectory() as folder, PeakMemory() as memory:
        workflow = build_workflow(
            [config_file("train")], settings | {"ckpt_dir": folder, "output_dir": folder}, "train"
        )
        with plain_errors():
            content = workflow.parser.get_parsed_content
            clock.attach(content("train#trainer"))
            pairs = sum(len(content(f"{part}#dataset")) for part in ("train", "validate"))
            workers, batch_size = content("num_workers"), content("batch_size")
            workflow.run()
        workflow.finalize()
    return {
        "machine": describe(),
        "threads": torch.get_num_threads(),
        "workers": workers,
        "batch_size": batch_size,
        "pairs": pairs,
        "epochs": clock.epochs,
        "peak_bytes": memory.bytes,
    }


def tables(numbers: dict | None) -> dict[str, str]:
    """Return name -> Markdown of the table about training."""
    if numbers is None:
        return {"training": NOT_MEASURED}
    # The first epoch meets cold caches.
    later = numbers["epochs"][1:]
    seconds, waiting, images = (sum(epoch[key] for epoch in later) for key in ("seconds", "waiting", "images"))
    rows = [
        ["Images per second", f"{images / seconds:.1f}"],
        ["Share of the time spent waiting for data, after the first epoch", f"{waiting / seconds:.1%}"],
        [f"Peak memory with {numbers['pairs']} pairs held in memory", f"{numbers['peak_bytes'] / 2**30:.2f} GiB"],
    ]
    note = (
        f"{numbers['machine']}; {numbers['threads']} threads and {numbers['workers']} workers, batches of "
        f"{numbers['batch_size']}, {len(later)} epochs after the first."
    )
    return {"training": f"{markdown_table(['Figure', 'Measured'], rows)}\n\n{note}"}


if __name__ == "__main__":
    sys.exit(run(main))
