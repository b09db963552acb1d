# SPDX-License-Identifier: Apache-2.0
"""Turn folders into checked lists of {"image", "label"}."""

from typing import TYPE_CHECKING

from lungseg.utils.imports import lazy_exports

if TYPE_CHECKING:
    from lungseg.data.label_files import read_label
    from lungseg.data.labels import SIDE_UNKNOWN, LabelMap
    from lungseg.data.layouts import find_data
    from lungseg.data.lists import datalist
    from lungseg.data.pairing import Case, Pairing, pair_by_name
    from lungseg.data.problems import Problem
    from lungseg.data.splits import frozen_splits, kfold, split, write_split

__all__ = [
    "SIDE_UNKNOWN",
    "Caches",
    "Case",
    "CheckResult",
    "LabelMap",
    "LoadTargetsd",
    "LungLabelReader",
    "NamedCacheDataset",
    "Pairing",
    "Problem",
    "RadiographReader",
    "ReadableDataset",
    "cached_dataset",
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

# MONAI, SciPy's filters and the drawing take seconds to import, and what only reads radiographs needs none of it.
__getattr__ = lazy_exports(
    __name__,
    {
        "Caches": "cache_choice",
        "Case": "pairing",
        "CheckResult": "check_result",
        "LabelMap": "labels",
        "LoadTargetsd": "targets",
        "Pairing": "pairing",
        "Problem": "problems",
        "SIDE_UNKNOWN": "labels",
        "cached_dataset": "cache_choice",
        "case_sampler": "sampler",
        "LungLabelReader": "image_reader",
        "NamedCacheDataset": "cached",
        "RadiographReader": "image_reader",
        "ReadableDataset": "readable",
        "check_data": "check",
        "check_has_lateral_labels": "check",
        "datalist": "lists",
        "draw_contact_sheet": "contact_sheet",
        "find_data": "layouts",
        "frozen_splits": "splits",
        "kfold": "splits",
        "pair_by_name": "pairing",
        "phantom": "phantoms",
        "read_label": "label_files",
        "split": "splits",
        "unusable_cases": "check",
        "write_phantoms": "phantoms",
        "write_split": "splits",
    },
)
