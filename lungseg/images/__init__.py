# SPDX-License-Identifier: Apache-2.0
"""Files become arrays, and arrays files."""

from lungseg.images.radiograph import Radiograph, read_radiograph

__all__ = ["Radiograph", "RadiographReader", "read_radiograph"]


def __getattr__(name: str):
    # MONAI and torch take seconds to import; only their reader needs them.
    if name == "RadiographReader":
        from lungseg.images.reader import RadiographReader

        return RadiographReader
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
