# SPDX-License-Identifier: Apache-2.0
"""Running the bundle's configs from Python: overrides that are checked, errors in words."""

from __future__ import annotations

import difflib
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from monai.bundle import ConfigParser, ConfigWorkflow

from lungseg.errors import LungsegError, UsageError, in_words
from lungseg.locate import bundle_root, config_file


def read_config(files: Sequence[Path], overrides: dict) -> dict:
    """Merge config files, later ones being deltas on earlier ones, and set what `overrides` say.

    Args:
        files: paths of JSON configs.
        overrides: config id, such as "batch_size" or "optimizer#weight_decay", -> value.

    Raises:
        UsageError: an id is not in the config.
    """
    parser = ConfigParser()
    parser.read_config([str(file) for file in files])
    for key, value in overrides.items():
        if key not in parser:
            near = difflib.get_close_matches(key, list(_ids(parser.get())), n=3)
            remedy = f"did you mean {' or '.join(near)}" if near else "see the config for its items"
            raise UsageError(f"the config has no item {key!r}", files[0], remedy)
        parser[key] = value
    return parser.get()


def _ids(config, prefix: str = "") -> Iterator[str]:
    for key, value in config.items():
        yield prefix + key
        if isinstance(value, dict):
            yield from _ids(value, f"{prefix}{key}#")


def parse_overrides(texts: Iterable[str]) -> dict:
    """Turn texts like `batch_size=4` into {"batch_size": 4}; what is no JSON is a string.

    Raises:
        UsageError: a text has no equals sign.
    """
    overrides = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"the override {text!r} has no value", remedy="write it as ID=VALUE, e.g. batch_size=4")
        try:
            overrides[key] = json.loads(value)
        except json.JSONDecodeError:
            overrides[key] = value
    return overrides


@contextmanager
def errors_in_words() -> Iterator[None]:
    """Let the sentence through that MONAI's and Ignite's nested errors were raised from, and only that."""
    ignite = logging.getLogger("ignite")
    level = ignite.level
    ignite.setLevel(logging.CRITICAL)
    try:
        yield
    except LungsegError:
        raise
    except Exception as error:
        told = in_words(error)
        if told is None:
            raise
        raise told from None
    finally:
        ignite.setLevel(level)


def start(files: Sequence[Path], overrides: dict, kind: str) -> ConfigWorkflow:
    """Build and initialize a workflow from the bundle's configs.

    Args:
        files, overrides: see :func:`read_config`.
        kind: "train" or "inference".

    Raises:
        UsageError: an override is not in the config.
        LungsegError: what the config's parts say about data or weights.
    """
    read_config(files, overrides)
    with errors_in_words():
        workflow = ConfigWorkflow(
            config_file=[str(file) for file in files],
            meta_file=str(config_file("metadata")),
            logging_file=False,
            workflow_type=kind,
            **{"bundle_root": str(bundle_root()), **overrides},
        )
        workflow.initialize()
    return workflow
