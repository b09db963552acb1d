# SPDX-License-Identifier: Apache-2.0
"""Running the bundle's configs from Python: overrides that are checked, errors in words."""

from __future__ import annotations

import difflib
import json
import logging
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from monai.bundle import ConfigParser, ConfigWorkflow

from lungseg.model.paths import bundle_root, config_file
from lungseg.utils.errors import LungsegError, UsageError, find_lungseg_error, first_line


def read_config(files: Sequence[Path], overrides: dict) -> dict:
    """Merge config files, later ones being deltas on earlier ones, and set what `overrides` say.

    Args:
        files: paths of JSON configs.
        overrides: config id, such as "batch_size" or "optimizer#weight_decay", -> value.

    Raises:
        UsageError: an id is not in the config, or its value is of another kind.
        LungsegError: a file is missing or damaged.
    """
    for file in files:
        try:
            json.loads(Path(file).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise LungsegError(f"the config cannot be read ({first_line(error)})", file, "restore it") from error
    parser = ConfigParser()
    parser.read_config([str(file) for file in files])
    for key, value in overrides.items():
        if key not in parser:
            near = difflib.get_close_matches(key, list(_ids(parser.get())), n=3)
            remedy = f"did you mean {' or '.join(near)}" if near else "see the config for its items"
            raise UsageError(f"the config has no item {key!r}", files[0], remedy)
        if not _of_one_kind(parser[key], value):
            example = textwrap.shorten(json.dumps(parser[key]), 60, placeholder=" …")
            remedy = f"give {_kind(parser[key])}, such as {example}"
            raise UsageError(f"the item {key!r} cannot be {value!r}", files[0], remedy)
        parser[key] = value
    return parser.get()


def _of_one_kind(old, new) -> bool:
    """Whether a value can take the place of another; expressions, references and null can be anything."""
    if any(item is None or is_computed(item) for item in (old, new)):
        return True
    return _kind(old) == _kind(new)


def is_computed(item: object) -> bool:
    """Whether a config's item is an expression or a reference, whose value the config does not state."""
    return isinstance(item, str) and item.startswith(("$", "@"))


def _kind(value) -> str:
    kinds = {bool: "true or false", int: "a number", float: "a number", str: "a text", list: "a list"}
    return kinds.get(type(value), "a component")


def _ids(config, prefix: str = "") -> Iterator[str]:
    for key, value in config.items():
        yield prefix + key
        if isinstance(value, dict):
            yield from _ids(value, f"{prefix}{key}#")


def parse_overrides(texts: Iterable[str], options: Mapping[str, str] | None = None) -> dict:
    """Turn texts like `batch_size=4` into {"batch_size": 4}; what is no JSON is a string.

    Args:
        texts: ID=VALUE each.
        options: id -> the option of the command line that sets it.

    Raises:
        UsageError: a text has no equals sign, or an option sets its item.
    """
    overrides = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"the override {text!r} has no value", remedy="write it as ID=VALUE, e.g. batch_size=4")
        if option := (options or {}).get(key):
            raise UsageError(f"the item {key!r} has an option of its own", remedy=f"use {option}")
        try:
            overrides[key] = json.loads(value)
        except json.JSONDecodeError:
            overrides[key] = value
    return overrides


@contextmanager
def plain_errors() -> Iterator[None]:
    """Let only that error through which MONAI's and Ignite's nested ones were raised from, our sentence first."""
    ignite = logging.getLogger("ignite")
    level = ignite.level
    ignite.setLevel(logging.CRITICAL)
    try:
        yield
    except LungsegError:
        raise
    except Exception as error:
        raise find_lungseg_error(error) or _from_worker(error) or _root(error) from None
    finally:
        ignite.setLevel(level)


def _root(error: BaseException) -> BaseException:
    """Return the error that all others were raised from."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _from_worker(error: BaseException) -> LungsegError | None:
    """Find the sentence of an error that a data loader's worker sent as text, its only way."""
    found = re.findall(r"^lungseg\.[\w.]+Error: (.*)\.$", str(_root(error)), re.MULTILINE)
    return LungsegError(found[-1]) if found else None


def build_workflow(files: Sequence[Path], overrides: dict, engine: str) -> ConfigWorkflow:
    """Build and initialize a workflow from the bundle's configs, up to its engine.

    Args:
        files, overrides: see :func:`read_config`.
        engine: id of the trainer or evaluator to build.

    Raises:
        UsageError: an override is not in the config, or nothing can be built with it.
        LungsegError: what the config's parts say about data or weights.
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
    except Exception as error:  # a config can name anything, so anything can come of it
        what = f"nothing can be built from this config ({first_line(error)})"
        raise UsageError(what, files[0], "correct the overrides") from error
    return workflow
