# SPDX-License-Identifier: Apache-2.0
"""What is on disk becomes lists of {"image", "label"}."""

from lungseg.data.datalist import datalist
from lungseg.data.labels import UNION_ONLY, LabelMap, read_label
from lungseg.data.layouts import find_data
from lungseg.data.pairing import Case, Pairing, pair_by_name
from lungseg.data.problems import Problem
from lungseg.data.splits import frozen_splits, kfold, split, write_split

__all__ = [
    "UNION_ONLY",
    "Case",
    "CheckResult",
    "LabelMap",
    "LungLabelReader",
    "Pairing",
    "Problem",
    "check_data",
    "contact_sheet",
    "datalist",
    "find_data",
    "frozen_splits",
    "kfold",
    "pair_by_name",
    "phantom",
    "read_label",
    "refuse_sideless",
    "split",
    "unfit_cases",
    "write_phantoms",
    "write_split",
]

# MONAI, scipy's filters and the drawing take seconds to import; few commands need them.
_LAZY = {
    "LungLabelReader": "lungseg.data.image_reader",
    "CheckResult": "lungseg.data.check",
    "check_data": "lungseg.data.check",
    "contact_sheet": "lungseg.data.contact_sheet",
    "refuse_sideless": "lungseg.data.check",
    "unfit_cases": "lungseg.data.check",
    "phantom": "lungseg.data.phantoms",
    "write_phantoms": "lungseg.data.phantoms",
}


def __getattr__(name: str):
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
