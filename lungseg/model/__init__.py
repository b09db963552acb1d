# SPDX-License-Identifier: Apache-2.0
"""The bundle as Python objects: paths, weights, configs, backends."""

from lungseg.utils.imports import lazy_exports

__all__ = [
    "Bundle",
    "bundle_root",
    "config_file",
    "load_weights",
    "load_weights_into",
    "open_bundle",
    "output_channels",
    "weights_file",
]

__getattr__ = lazy_exports(
    __name__,
    {
        "load_weights": "weights",
        "load_weights_into": "weights",
        "output_channels": "weights",
        "Bundle": "bundle",
        "open_bundle": "bundle",
        "bundle_root": "paths",
        "config_file": "paths",
        "weights_file": "paths",
    },
)
