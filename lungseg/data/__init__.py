# SPDX-License-Identifier: Apache-2.0
"""Turn folders into checked lists of {"image", "label"}."""

from lungseg.data.datalist import datalist
from lungseg.data.labels import SIDE_UNKNOWN, LabelMap, read_label
from lungseg.data.layouts import find_data
from lungseg.data.pairing import Case, Pairing, pair_by_name
from lungseg.data.problems import Problem
from lungseg.data.splits import frozen_splits, kfold, split, write_split
from lungseg.utils.imports import lazy_exports

__all__ = [
    "SIDE_UNKNOWN",
    "Case",
    "CheckResult",
    "LabelMap",
    "LoadTargetsd",
    "LungLabelReader",
    "Pairing",
    "Problem",
    "RadiographReader",
    "ReadableDataset",
    "case_sampler",
    "check_data",
    "check_has_lateral_labels",
    "datalist",
    "draw_contact_sheet",
    "find_data",
    "frozen_splits",
    "kfold",
    "pair_by_name",
    "phantom",
    "read_label",
    "split",
    "unusable_cases",
    "write_phantoms",
    "write_split",
]

# MONAI, SciPy's filters and the drawing take seconds to import; few commands need them.
__getattr__ = lazy_exports(
    __name__,
    {
        "CheckResult": "check_result",
        "LoadTargetsd": "targets",
        "case_sampler": "sampler",
        "LungLabelReader": "image_reader",
        "RadiographReader": "image_reader",
        "ReadableDataset": "readable",
        "check_data": "check",
        "check_has_lateral_labels": "check",
        "draw_contact_sheet": "contact_sheet",
        "phantom": "phantoms",
        "unusable_cases": "check",
        "write_phantoms": "phantoms",
    },
)
