# SPDX-License-Identifier: Apache-2.0
"""How the names of images and of their masks differ: rules, and a guess at the rules of a data set."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import astuple, dataclass, fields, replace
from difflib import SequenceMatcher

MASK_SUFFIX = "_mask"

_SEPARATORS = "_- ."
# Words for the kinds of pictures, and nnU-Net's number of the first channel: rules of these need no option.
_IMAGE_WORDS = {"", "image", "images", "img", "imgs", "cxr", "xray", "scan", "x", "input", "orig", "original", "0000"}
_MASK_WORDS = {"", "mask", "masks", "label", "labels", "lung", "lungs", "seg", "segmentation", "gt", "y", "target"}
_MASK_WORD = re.compile(r"(?<![a-z])(lung)?(masks?|labels?|segmentations?|seg|gt|annotations?)(?![a-z])", re.IGNORECASE)
# Names that are compared letter by letter to find a rule, and rules that are then tried on all names.
_SAMPLE_IMAGES, _SAMPLE_MASKS, _TRIED = 300, 10, 30


@dataclass(frozen=True)
class Naming:
    """Rules for names without folder and ending; each prefix and suffix may be there or not.

    Attributes:
        image_prefix, image_suffix: text before and after the common part in the name of an image.
        mask_prefix, mask_suffix: the same in the name of a mask.
    """

    image_prefix: str = ""
    image_suffix: str = ""
    mask_prefix: str = ""
    mask_suffix: str = MASK_SUFFIX

    def of_image(self, name: str) -> str:
        """Return the part of an image's name (with its sub-folders) that its mask has too."""
        return _bare(name, self.image_prefix, self.image_suffix)

    def of_mask(self, name: str) -> str:
        """Return the part of a mask's name (with its sub-folders) that its image has too."""
        return _bare(name, self.mask_prefix, self.mask_suffix)

    def is_mask(self, name: str) -> bool:
        """Return whether a name has the prefix or the suffix of a mask."""
        return self.of_mask(name) != name

    @property
    def is_plain(self) -> bool:
        """Whether all prefixes and suffixes are words that usually distinguish images from masks."""
        image, mask = ({_word(part) for part in pair} for pair in (astuple(self)[:2], astuple(self)[2:]))
        return image <= _IMAGE_WORDS and mask <= _MASK_WORDS

    def options(self) -> str:
        """Return the options of the command that state it; empty if it is the default."""
        stated = [(one.name, getattr(self, one.name)) for one in fields(self) if getattr(self, one.name) != one.default]
        return " ".join(f"--{name.replace('_', '-')}{_quoted(text)}" for name, text in stated)


def guess_naming(images: Iterable[str], masks: Iterable[str]) -> Naming | None:
    """Return the rules by which most of the masks have an image of their own, or None.

    Args:
        images: names of images, without endings.
        masks: names of masks, without endings.
    """
    pictured, drawn = sorted(set(images)), sorted(set(masks))
    found: Counter[Naming] = Counter()
    for mask in drawn[:: max(1, len(drawn) // _SAMPLE_MASKS)][:_SAMPLE_MASKS] + drawn[:_SAMPLE_MASKS]:
        found.update(_rule(image, mask) for image in pictured[:_SAMPLE_IMAGES])
    best: tuple[int, int, Naming] | None = None
    for naming in [naming for naming, _ in found.most_common(_TRIED)]:
        paired = len(_keys(pictured, naming.image_prefix, naming.image_suffix).keys() & _drawn_keys(drawn, naming))
        length = sum(map(len, astuple(naming)))
        if best is None or (paired, -length, best[2].options()) > (best[0], -best[1], naming.options()):
            best = paired, length, naming
    if best is None or 2 * best[0] <= len(drawn):
        return None
    # The usual suffix is never required.
    return replace(best[2], mask_suffix=best[2].mask_suffix or MASK_SUFFIX)


def masks_by_word(names: Collection[str]) -> set[str]:
    """Return those of the names in one folder that say that they are masks."""
    return {name for name in names if _MASK_WORD.search(name.rsplit("/", 1)[-1])}


def _rule(image: str, mask: str) -> Naming:
    """Return the rule for one pair, whose longest common part is the name."""
    (*_, image), (*_, mask) = image.split("/"), mask.split("/")
    at, mask_at, size = SequenceMatcher(None, image, mask, autojunk=False).find_longest_match()
    end, mask_end = at + size, mask_at + size
    # A separator belongs to the words, not to the name.
    while size > 1 and image[at] in _SEPARATORS and (at or mask_at):
        at, mask_at, size = at + 1, mask_at + 1, size - 1
    while size > 1 and image[end - 1] in _SEPARATORS and (image[end:] or mask[mask_end:]):
        end, mask_end, size = end - 1, mask_end - 1, size - 1
    return Naming(image[:at], image[end:], mask[:mask_at], mask[mask_end:])


def _keys(names: Iterable[str], prefix: str, suffix: str) -> dict[str, str]:
    """Return the names that have prefix and suffix, by the part between."""
    return {
        _bare(name, prefix, suffix): name
        for name in names
        if (stem := name.rsplit("/", 1)[-1]).startswith(prefix) and stem.endswith(suffix)
    }


def _drawn_keys(names: Iterable[str], naming: Naming) -> set[str]:
    return set(_keys(names, naming.mask_prefix, naming.mask_suffix))


def _bare(name: str, prefix: str, suffix: str) -> str:
    folder, slash, stem = name.rpartition("/")
    bare = stem.removeprefix(prefix).removesuffix(suffix)
    return f"{folder}{slash}{bare}" if bare else name


def _word(affix: str) -> str:
    return affix.strip(_SEPARATORS).lower()


def _quoted(text: str) -> str:
    return f"{'=' if text.startswith('-') or not text else ' '}{shlex.quote(text) if text else ''}"
