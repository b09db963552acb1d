# SPDX-License-Identifier: Apache-2.0
"""Run the bundle's configs from Python, with checked overrides and plain errors."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser, ConfigWorkflow

from lungseg.model.build_errors import NamingResolver, build_error
from lungseg.model.components import check_components
from lungseg.model.overrides import apply_overrides
from lungseg.model.paths import bundle_root, config_file
from lungseg.utils.errors import LungsegError, UsageError, find_lungseg_error, first_line, innermost

# MONAI's workflow warns that it keeps no log file, which nobody asked for. That notice alone is left out.
logging.getLogger("monai.bundle.workflows").addFilter(
    lambda record: "Logging file is set to False" not in str(record.msg)
)


def read_config(files: Sequence[Path], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Merge config files, each a delta on the earlier ones, and apply `overrides`.

    Args:
        files: paths of JSON configs.
        overrides: config id, such as "batch_size" or "optimizer#weight_decay", -> value; see
            :func:`lungseg.model.overrides.apply_overrides`.

    Raises:
        UsageError: an id is not in the config, or its value has another kind than the config's.
        LungsegError: a file is missing or damaged.
    """
    for file in files:
        read_json(file)
    parser = ConfigParser()
    parser.read_config([str(file) for file in files])
    apply_overrides(parser, overrides, files[0])
    config: dict[str, Any] = parser.get()
    return config


def read_json(file: Path) -> dict[str, Any]:
    """Read a config as it stands in its file.

    Raises:
        LungsegError: the file is missing or damaged (config-unreadable).
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise LungsegError(
            f"the config cannot be read ({first_line(error)})", file, "restore it", code="config-unreadable"
        ) from error
    if not isinstance(content, dict):
        raise LungsegError("the config does not hold items", file, "restore it", code="config-unreadable")
    return content


def parse_overrides(texts: Iterable[str], options: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Turn texts like `batch_size=4` into {"batch_size": 4}; a value that is not JSON is a string.

    Args:
        texts: ID=VALUE each, or the name of a JSON file that holds ids and values.
        options: id -> the command-line option that sets it.

    Raises:
        UsageError: a text has no equals sign, or its item has an option of its own.
        LungsegError: a file is missing or damaged.
    """
    overrides: dict[str, Any] = {}
    for text in texts:
        if text.endswith(".json") and "=" not in text:
            overrides |= read_json(Path(text))
            continue
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(
                f"the override {text!r} has no value",
                remedy="write it as ID=VALUE, such as batch_size=4, or name a .json file",
                code="override-without-value",
            )
        if option := (options or {}).get(key):
            raise UsageError(
                f"the item {key!r} has an option of its own", remedy=f"use {option}", code="item-has-option"
            )
        overrides[key] = parse_value(value)
    return overrides


def parse_value(text: str) -> Any:
    """Parse a value that was typed: JSON, or else a text."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


@contextmanager
def plain_errors() -> Iterator[None]:
    """Raise the original error, ours if there is one, instead of the nested ones of MONAI and Ignite."""
    try:
        yield
    except LungsegError:
        raise
    except Exception as error:
        raise find_lungseg_error(error) or from_worker(error) or innermost(error) from None


def from_worker(error: BaseException) -> LungsegError | None:
    """Find the sentence of an error that a data loader's worker sent: it arrives as text."""
    found = re.findall(r"^lungseg\.[\w.]+Error: (.*)\.$", str(innermost(error)), re.MULTILINE)
    return LungsegError(found[-1], code="data-worker-failed") if found else None


def build_workflow(files: Sequence[Path], overrides: Mapping[str, Any], *items: str) -> ConfigWorkflow:
    """Build and initialize a workflow from the bundle's configs, up to some of its items.

    Args:
        files, overrides: see :func:`read_config`.
        items: ids of the items to build, such as the trainer or evaluator.

    Raises:
        UsageError: an override is not in the config, or an item cannot be built.
        LungsegError: the data or the weights cannot be used.
    """
    check_components(read_config(files, overrides))
    workflow = ConfigWorkflow(
        config_file=[str(file) for file in files],
        meta_file=str(config_file("metadata")),
        logging_file=False,
        workflow_type="train",
        **{"bundle_root": str(bundle_root()), **overrides},
    )
    workflow.parser.ref_resolver = NamingResolver()
    with _named_errors(workflow, "initialize"):
        workflow.initialize()
    for item in items:
        build_item(workflow, item)
    return workflow


def build_item(workflow: ConfigWorkflow, item: str) -> Any:
    """Return what an item of a workflow that `build_workflow` built stands for.

    Raises:
        UsageError: it cannot be built; the error names the item that it needs and that failed.
        LungsegError: the data or the weights cannot be used.
    """
    with _named_errors(workflow, item):
        return workflow.parser.get_parsed_content(item)


@contextmanager
def _named_errors(workflow: ConfigWorkflow, item: str) -> Iterator[None]:
    resolver = workflow.parser.ref_resolver
    try:
        with plain_errors():
            yield
    except (LungsegError, OSError):
        raise
    except Exception as error:  # a config can name anything, so any error is possible
        raise build_error(error, getattr(resolver, "failed", "") or item) from error
