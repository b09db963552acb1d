# SPDX-License-Identifier: Apache-2.0
"""Before work on a data set begins: which of its cases cannot be used is found out, and told by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from lungseg.data.check import check_data
from lungseg.data.labels import read_label
from lungseg.data.layouts import find_data
from lungseg.data.lists import datalist
from lungseg.data.problems import DUPLICATE_IMAGE, MASK_WITHOUT_IMAGE
from lungseg.data.splits import set_of
from lungseg.utils.errors import LungsegError
from lungseg.utils.text import printable, some

_SHOWN = 10


def unfit_cases(sections: Sequence[str], say: Callable[[str], None] = print, **source) -> list[str]:
    """Read the images and references of some sections, and return the names of the cases that cannot be used.

    The files are read once more than training or evaluating alone would: a second for 75 radiographs of 512 x 512.

    Args:
        sections: see :func:`lungseg.data.datalist`, as for the other arguments.
        say: takes a line about each file that is not used, or used in part.
        **source: the other arguments of `datalist`.

    Raises:
        UsageError: there is no data set, or a section or a set is unknown.
        LungsegError: there are several data sets, or a section is empty.
    """
    sets = [source["sets"]] if isinstance(source.get("sets"), str) else source.get("sets")
    where = {key: source[key] for key in ("dataset_dir", "images", "masks", "mask_suffix") if key in source}
    layout = find_data(**where)
    pairing = layout.pair()
    names = {case["name"] for section in sections for case in datalist(section=section, **source)}
    cases = [case for case in pairing.pairs if case.name in names]
    result = check_data(replace(layout, pair=lambda: replace(pairing, pairs=cases, images_without_mask=[])))

    unused = [problem for problem in result.problems if problem.left_out]
    for problem in unused[:_SHOWN]:
        say(f"Not used: {printable(problem.file)}: {problem.kind}: {printable(problem.sentence)}")
    if len(unused) > _SHOWN:
        say(f"Not used: {len(unused) - _SHOWN} more files; lungseg check-data names them")
    for problem in [problem for problem in result.problems if problem.kind == DUPLICATE_IMAGE][:_SHOWN]:
        say(f"Used all the same: {printable(problem.file)}: {problem.kind}: {printable(problem.sentence)}")
    without = [path.name for path in pairing.images_without_mask if not sets or set_of(path.stem) in sets]
    if without:
        say(f"Not used: images without a mask: {some(without, _SHOWN)}")
    if result.union_only:
        say(f"Left and right are not believed, the union of the lungs is used: {some(result.union_only, _SHOWN)}")
    return sorted({problem.name for problem in unused if problem.kind != MASK_WITHOUT_IMAGE} & names)


def refuse_sideless(cases: Sequence[dict]) -> None:
    """Refuse references of which none tells right from left: figures per lung, by which weights are chosen, need one.

    Args:
        cases: as :func:`lungseg.data.datalist` returns them.

    Raises:
        LungsegError: there is none.
    """
    for case in cases:
        reason = read_label(case["label"]).union_reason
        if reason is None:
            return
    remedy = "give label maps, with 1 for the patient's right lung, or a mask for each lung"
    raise LungsegError(
        f"no reference of the validation list tells right from left (here {reason})", case["name"], remedy
    )
