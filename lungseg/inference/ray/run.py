# SPDX-License-Identifier: Apache-2.0
"""`lungseg predict --ray`: a run from the list of its radiographs to its report."""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from pathlib import Path

from lungseg.inference.choices import CROP_MARGIN
from lungseg.inference.devices import choose_device
from lungseg.inference.kinds import KINDS_WITH_PATH
from lungseg.inference.outputs import Outputs
from lungseg.inference.predict import as_list, check_apart, log_skipped, run_facts
from lungseg.inference.ray.actor import ENDED, Segmenter
from lungseg.inference.ray.cluster import Cluster, check_installed, joined_cluster, own_cluster
from lungseg.inference.ray.ledger import Ledger
from lungseg.inference.ray.results import Known, Results, key_of
from lungseg.inference.ray.rows import Ending
from lungseg.inference.ray.settings import settings_hash
from lungseg.inference.ray.source import Source
from lungseg.inference.ray.sources import find_source
from lungseg.inference.ray.target import check_names_free, replaced_rows, reported, taken_target
from lungseg.inference.ray.work import Work
from lungseg.inference.workers import Job
from lungseg.model.paths import weights_file
from lungseg.utils.errors import LungsegError, UsageError, first_line
from lungseg.utils.parallel import core_count

logger = logging.getLogger(__name__)

# Radiographs in a batch, whose rows make a file. Fewer, where processes would have too few batches for an even share.
_MOST_IN_BATCH, _BATCHES_PER_PROCESS = 64, 4
# Radiographs that go through the network together.
_SIZE = {"cuda": 8}
_DEVICES = ("auto", "cpu", "cuda")
# Bytes of the memory that the processes on this machine share: for names, or for the content of Parquet files.
_STORE, _STORE_WITH_FILES = 100_000_000, 1_000_000_000


def predict_on_ray(
    inputs: Sequence[str],
    output: str,
    address: str = "",
    *,
    weights: str | os.PathLike[str] | None = None,
    device: str = "auto",
    kinds: Sequence[str] = (),
    precision: str = "fp32",
    batch_size: int | None = None,
    workers: int | None = None,
    overwrite: bool = False,
    strict: bool = False,
    extent: str = "visible",
    heart: bool = False,
    ctr: str = "auto",
    crop_margin: float = CROP_MARGIN,
    private: bool = False,
    trust: bool = False,
    image_column: str | None = None,
    name_column: str | None = None,
    on_result: Callable[[int, int, Ending], None] | None = None,
    command: Sequence[str] | None = None,
) -> list[Ending]:
    """Segment files, objects in S3 or rows of Parquet files on a cluster of Ray.

    Rows and label maps are written as Parquet files to `rows/` in the target. Rows of an earlier run that were made
    from the same content in the same way stay; where they were not, they are replaced.

    Args:
        inputs: files and folders, places in S3 (`s3://bucket/prefix`), or one Parquet file or folder of them.
        output: the target: a folder, or a place in S3.
        address: of a cluster; empty to start one on this machine, which ends with the run.
        kinds: files to write besides the rows, to folders of the target.
        workers: processes that segment; the default is one for each processor, or for each GPU.
        image_column: of Parquet files, the column with the content of files.
        name_column: of Parquet files, the column with their names.
        on_result: called after each radiograph with the number of finished ones, of all, and how it ended.
        weights, device, precision, batch_size, overwrite, strict, extent, heart, ctr, crop_margin, private, trust,
            command: as of :func:`lungseg.inference.predict.predict`.

    Returns:
        How each radiograph ended, in the order of the inputs.

    Raises:
        UsageError: there is nothing to segment, an option cannot be used, or the target cannot be written to.
        LungsegError: the weights cannot be used, nothing can be written, or the cluster failed.
    """
    check_installed()
    inputs = [os.fspath(one) for one in as_list(inputs, output)]
    outputs = Outputs(Path(output), kinds, crop_margin)
    _check_options(outputs, device)
    source = find_source(inputs, output, image_column, name_column)
    if source.listed:
        check_apart([Path(one) for one in inputs], source.listed.radiographs, outputs)
        log_skipped(source.listed)
    job = Job(
        outputs.folder.absolute(),
        outputs.kinds,
        weights_file(weights).absolute(),
        "cpu",
        precision,
        overwrite,
        strict,
        extent,
        heart,
        ctr,
        private,
        trust,
        crop_margin,
    )
    predictor = job.predictor()
    settings, facts = settings_hash(job, predictor), run_facts(predictor, outputs, command)
    with ExitStack() as stack:
        storage = stack.enter_context(taken_target(outputs, output, private))
        earlier = Results(storage)
        known = earlier.known()
        if not overwrite:
            check_names_free(source.files, known, storage)
        cluster = stack.enter_context(_cluster(address, source, workers, device))
        device = ("cuda" if cluster.gpus else "cpu") if device == "auto" else device
        if device == "cuda" and not cluster.gpus:
            # Ray would wait for one.
            remedy = "leave out --device, or add a machine with a GPU"
            raise UsageError("the cluster has no GPU", remedy=remedy, code="cuda-not-available")
        results = replace(earlier, generation=earlier.last_generation() + 1)
        endings: dict[str, Ending] = {}
        stack.enter_context(reported(results, source.files, endings, facts | {"device": device}))
        size = batch_size or _SIZE.get(device, 1)
        work = Work(replace(job, device=device), settings, source.reader, results, size, cluster.scratch)
        workers = workers or (cluster.gpus if device == "cuda" else cluster.processors - source.reads)
        keys = {file: key_of(stem) for file, stem in source.files}
        for ending in _segment(source, work, known, max(1, workers), device == "cuda"):
            endings[keys[ending.file]] = ending
            if on_result:
                on_result(len(endings), len(keys), ending)
        results.remove(replaced_rows(endings, known))
    if reused := sum(ending.reused for ending in endings.values()):
        logger.info("Reused results of an earlier run (same content, weights and settings): %d", reused)
    return [endings[key] for key in keys.values()]


def _check_options(outputs: Outputs, device: str) -> None:
    if refused := [kind for kind in outputs.kinds if kind in KINDS_WITH_PATH]:
        remedy = "leave it out, or run without --ray"
        raise UsageError(f"--ray does not write {refused[0]}", remedy=remedy, code="not-with-ray")
    if device not in _DEVICES:
        remedy = f"use {', '.join(_DEVICES)}"
        raise UsageError(
            f"Ray chooses the GPU itself, so device {device!r} cannot be used", remedy=remedy, code="not-with-ray"
        )


def _cluster(address: str, source: Source, workers: int | None, device: str) -> AbstractContextManager[Cluster]:
    if address:
        return joined_cluster(address)
    gpus = None if choose_device(device).type == "cuda" else 0
    # Ray counts on a processor for reading Parquet files.
    processors = (workers or core_count()) + source.reads
    return own_cluster(processors, gpus, _STORE_WITH_FILES if source.reads else _STORE)


def _segment(source: Source, work: Work, known: Mapping[str, Known], workers: int, on_gpu: bool) -> Iterator[Ending]:
    """Yield how each radiograph ended, in no order.

    Raises:
        LungsegError: nothing can be written, a machine cannot work, or the cluster failed.
    """
    import ray
    from ray.data import ActorPoolStrategy

    in_batch = max(1, min(_MOST_IN_BATCH, -(-len(source.files) // (workers * _BATCHES_PER_PROCESS))))
    workers = min(workers, -(-len(source.files) // in_batch))
    try:
        ledger = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Ledger).remote(dict(source.files), known)
        dataset, rows = source.dataset(in_batch)
        answers = dataset.map_batches(
            Segmenter,
            fn_constructor_args=(work, ledger),
            batch_size=rows,
            batch_format="pyarrow",
            compute=ActorPoolStrategy(size=workers),
            num_cpus=1,
            num_gpus=1 if on_gpu else 0,
        )
        for row in answers.iter_rows():
            answer = pickle.loads(row[ENDED])
            if isinstance(answer, LungsegError):
                raise answer
            yield from answer
    except LungsegError:
        raise
    except Exception as error:
        # Ray's own, and those of the systems that it reads from.
        what = f"the cluster failed ({first_line(error)})"
        remedy = "run the command again: it goes on from here"
        raise LungsegError(what, remedy=remedy, code="ray-failed") from error
