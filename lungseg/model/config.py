# SPDX-License-Identifier: Apache-2.0
"""Run the bundle's configs from Python, with checked overrides and plain errors."""

from __future__ import annotations

import difflib
import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser, ConfigWorkflow

from lungseg.model.paths import bundle_root, config_file
from lungseg.model.trust import is_computed
from lungseg.utils.errors import LungsegError, UsageError, find_lungseg_error, first_line


def read_config(files: Sequence[Path], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Merge config files, each a delta on the earlier ones, and apply `overrides`.

    Args:
        files: paths of JSON configs.
        overrides: config id, such as "batch_size" or "optimizer#weight_decay", -> value.

    Raises:
        UsageError: an id is not in the config, or its value has another kind than the config's.
        LungsegError: a file is missing or damaged.
    """
    for file in files:
        read_json(file)
    parser = ConfigParser()
    parser.read_config([str(file) for file in files])
    for key, value in overrides.items():
        if key not in parser:
            near = difflib.get_close_matches(key, list(_ids(parser.get())), n=3)
            remedy = f"did you mean {' or '.join(near)}" if near else "see the config for its items"
            raise UsageError(f"the config has no item {key!r}", files[0], remedy, code="unknown-config-item")
        if not _has_same_kind(parser[key], value):
            example = textwrap.shorten(json.dumps(parser[key]), 60, placeholder=" …")
            remedy = f"give {_kind(parser[key])}, such as {example}"
            raise UsageError(f"the item {key!r} cannot be {value!r}", files[0], remedy, code="bad-config-value")
        parser[key] = value
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


def _has_same_kind(old: object, new: object) -> bool:
    """Return whether a value can replace another; expressions, references and null can be anything."""
    if any(item is None or is_computed(item) for item in (old, new)):
        return True
    return _kind(old) == _kind(new)


def _kind(value: object) -> str:
    kinds: dict[type, str] = {bool: "true or false", int: "a number", float: "a number", str: "a text", list: "a list"}
    return kinds.get(type(value), "a component")


def _ids(config: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in config.items():
        yield prefix + key
        if isinstance(value, dict):
            yield from _ids(value, f"{prefix}{key}#")


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
        try:
            overrides[key] = json.loads(value)
        except json.JSONDecodeError:
            overrides[key] = value
    return overrides


@contextmanager
def plain_errors() -> Iterator[None]:
    """Raise the original error, ours if there is one, instead of the nested ones of MONAI and Ignite."""
    try:
        yield
    except LungsegError:
        raise
    except Exception as error:
        raise find_lungseg_error(error) or _from_worker(error) or _root(error) from None


def _root(error: BaseException) -> BaseException:
    """Return the error that all others were raised from."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _from_worker(error: BaseException) -> LungsegError | None:
    """Find the sentence of an error that a data loader's worker sent: it arrives as text."""
    found = re.findall(r"^lungseg\.[\w.]+Error: (.*)\.$", str(_root(error)), re.MULTILINE)
    return LungsegError(found[-1], code="data-worker-failed") if found else None


def build_workflow(files: Sequence[Path], overrides: Mapping[str, Any], engine: str) -> ConfigWorkflow:
    """Build and initialize a workflow from the bundle's configs, up to its engine.

    Args:
        files, overrides: see :func:`read_config`.
        engine: id of the trainer or evaluator to build, or of another item.

    Raises:
        UsageError: an override is not in the config, or nothing can be built with it.
        LungsegError: the data or the weights cannot be used.
    """
    read_config(files, overrides)
    try:
        with plain_errors():
            workflow = ConfigWorkflow(
                config_file=[str(file) for file in files],
                meta_file=str(config_file("metadata")),
                logging_file=False,
                workflow_type="train",
                **{"bundle_root": str(bundle_root()), **overrides},
            )
            workflow.initialize()
            workflow.parser.get_parsed_content(engine)
    except (LungsegError, OSError, MemoryError):
        raise
    except Exception as error:  # a config can name anything, so any error is possible
        what = f"nothing can be built from this config ({first_line(error)})"
        raise UsageError(what, files[0], "correct the overrides", code="config-not-buildable") from error
    return workflow
