# SPDX-License-Identifier: Apache-2.0
# mypy: disallow-subclassing-any=False, warn-return-any=False
"""The studies in a folder: MONAI Label's datastore, made safe against threads, kills and unusual names."""

from __future__ import annotations

import copy
import glob
import hashlib
import logging
import os
import re
import shutil
import threading
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Concatenate, ParamSpec, TypeVar

from monailabel.datastore.local import DataModel, ImageLabelModel, LocalDatastore
from monailabel.interfaces.datastore import DefaultLabelTag
from monailabel.interfaces.exception import ImageNotFoundException

from lungseg.io import write_png
from lungseg.io.formats import split_ending
from lungseg.utils.errors import LungsegError
from lungseg.utils.files import atomic_path
from lungseg.utils.names import path_inside
from lungseg.workflows.label.store.label_maps import decode
from lungseg.workflows.label.store.stored_values import check_info
from lungseg.workflows.label.store.study_files import LABELS, PATTERNS, is_plain_name, list_files, study_names
from lungseg.workflows.label.store.study_list import StudyList

logger = logging.getLogger(__name__)
# The longest name of a replaced label, in bytes: file systems allow 255, with a number and an ending.
_LONGEST = 200
_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


def _locked(
    method: Callable[Concatenate[StudyFolder, _Parameters], _Result],
) -> Callable[Concatenate[StudyFolder, _Parameters], _Result]:
    """Let one thread at a time run the methods that read and write the list of studies."""

    @wraps(method)
    def alone(self: StudyFolder, /, *arguments: _Parameters.args, **named: _Parameters.kwargs) -> _Result:
        with self._mutex:
            return method(self, *arguments, **named)

    return alone


class StudyFolder(LocalDatastore):
    """A folder of radiographs with their labels in `labels/<tag>/` and the list of both in `datastore_v2.json`.

    Beyond MONAI Label's own class, it can be used from several threads, survives a kill, keeps replaced labels, and
    notices files that are renamed. It follows no link in the folder, and stores only what it can read again.

    Args:
        folder: the studies.
        replaced: folder for the labels that newer ones replace.
        watch: follow the changes that other programs make in the folder.
    """

    def __init__(self, folder: str, replaced: Path, watch: bool = True) -> None:
        self._mutex = threading.RLock()
        self.replaced = Path(replaced)
        # The folder itself may be a link.
        self._folder = Path(os.path.realpath(folder))
        self._list = StudyList(self._folder / "datastore_v2.json", self._is_study)
        super().__init__(folder, labels_dir=LABELS, extensions=PATTERNS, auto_reload=watch)
        if watch:
            # Many programs write under a temporary name and rename the finished file.
            self._handler.on_moved = self._on_any_event

    @staticmethod
    def _is_study(image_id: str) -> bool:
        """Return whether a text can be the id of a study."""
        return is_plain_name(image_id)

    def file_of(self, image_id: str) -> Path | None:
        """Return the file of a study, or None if there is no such study."""
        uri = self.get_image_uri(image_id)
        return Path(uri) if uri else None

    def label_file(self, image_id: str, tag: str) -> Path | None:
        """Return the file of a study's label, or None if there is none."""
        label = self._datastore.label(image_id, tag)
        return _existing_file(self._folder, LABELS, tag, self._filename(image_id, label.ext)) if label else None

    def get_image_uri(self, image_id: str) -> str:
        """Return the path of a study's file, or an empty text if there is no such study."""
        return str(self._present_file(image_id) or "")

    def get_label_uri(self, label_id: str, label_tag: str) -> str:
        """Return the path of a label's file, or an empty text if there is none."""
        return str(self.label_file(label_id, label_tag) or "")

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        """Return the values that are stored with a study, and its path."""
        study = self._datastore.objects.get(image_id)
        return {**copy.deepcopy(study.image.info), "path": str(self._present_file(image_id) or "")} if study else {}

    def _present_file(self, image_id: str) -> Path | None:
        """Return the file of a study in the folder, or None."""
        study = self._datastore.objects.get(image_id)
        return _existing_file(self._folder, self._filename(image_id, study.image.ext)) if study else None

    def save_label_map(self, image_id: str, file: Path, tag: str, info: dict[str, Any]) -> str:
        """Save a label map of any known format as a PNG.

        Raises:
            LungsegError: there is no such study (study-unknown), or the file is not a label map of it.
        """
        image = self.file_of(image_id)
        if image is None:
            what, remedy = f"there is no study {image_id!r}", "list the studies with GET /lungseg/studies"
            raise LungsegError(what, remedy=remedy, code="study-unknown")
        check_info(info)
        labels = decode(file, image)
        with TemporaryDirectory(prefix="lungseg-") as folder:
            png = Path(folder, "label.png")
            write_png(png, labels)
            return self.save_label(image_id, str(png), tag, info)

    @_locked
    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]) -> str:
        """Save a label's file; the label that it replaces is kept."""
        study = self._datastore.objects.get(image_id)
        if study is None:
            raise ImageNotFoundException(f"Image {image_id} not found")
        check_info(label_info)
        _, ending = self._to_id(os.path.basename(label_filename))
        target = path_inside(self._folder, LABELS, label_tag, self._filename(image_id, ending))
        self._keep(image_id, label_tag)
        with atomic_path(target) as temporary:
            temporary.write_bytes(Path(label_filename).read_bytes())
        info = {**label_info, "ts": int(time.time()), "name": target.name}
        study.labels[label_tag] = DataModel(info=info, ext=ending)
        self._update_datastore_file()
        return image_id

    def _keep(self, image_id: str, tag: str) -> None:
        before = self.label_file(image_id, tag)
        if before is None:
            return
        name = _short(before.stem)
        number = 1 + max(_numbers(self.replaced / tag, name), default=0)
        with atomic_path(path_inside(self.replaced, tag, f"{name}.{number}{before.suffix}")) as temporary:
            temporary.write_bytes(before.read_bytes())

    @_locked
    def remove_label(self, label_id: str, label_tag: str) -> None:
        """Remove a label; it is kept in `replaced`."""
        self._keep(label_id, label_tag)
        if file := self.label_file(label_id, label_tag):
            file.unlink(missing_ok=True)
        self.refresh()

    @_locked
    def add_new_image(self, image_id: str, file: Path, info: dict[str, Any]) -> bool:
        """Add a radiograph under a new name; return False if a study has this name already."""
        if image_id in self.list_images():
            return False
        self.add_image(image_id, str(file), info)
        return True

    @_locked
    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Add a radiograph.

        Raises:
            LungsegError: the name is not a name (name-is-path), is that of a link (name-is-link) or of another file
                (name-taken), or the values cannot be stored (value-not-storable).
        """
        check_info(image_info)
        _, ending = self._to_id(os.path.basename(image_filename))
        target = path_inside(self._folder, self._filename(image_id, ending))
        if target.exists():
            what, remedy = "there is already a file of this name, which is not a study", "choose another name"
            raise LungsegError(what, target.name, remedy, code="name-taken")
        with atomic_path(target) as temporary:
            shutil.copyfile(image_filename, temporary)
        info = {**image_info, "ts": int(time.time()), "name": target.name}
        self._datastore.objects[image_id] = ImageLabelModel(image=DataModel(info=info, ext=ending))
        self._update_datastore_file()
        return image_id

    @_locked
    def remove_image(self, image_id: str) -> None:
        """Remove a study's file and its labels; the labels are kept in `replaced`."""
        study = self._datastore.objects.get(image_id)
        if study is None:
            raise ImageNotFoundException(f"Image {image_id} not found")
        for tag in list(study.labels):
            self.remove_label(image_id, tag)
        if file := self._present_file(image_id):
            file.unlink(missing_ok=True)
        self.refresh()

    @_locked
    def update_image_info(self, image_id: str, info: dict[str, Any]) -> None:
        """Add values to those that are stored with a study."""
        study = self._datastore.objects.get(image_id)
        check_info({**(study.image.info if study else {}), **info})
        super().update_image_info(image_id, info)

    @_locked
    def update_label_info(self, label_id: str, label_tag: str, info: dict[str, Any]) -> None:
        """Add values to those that are stored with a label."""
        check_info({**self.get_label_info(label_id, label_tag), **info})
        super().update_label_info(label_id, label_tag, info)

    @_locked
    def datalist(self, full_path: bool = True) -> list[dict[str, Any]]:
        """Return the files of each study with a final label; a study without a file is left out with a warning."""
        listed = []
        for image_id in self.get_labeled_images():
            image, label = self._present_file(image_id), self.label_file(image_id, DefaultLabelTag.FINAL.value)
            if image is None or label is None:
                logger.warning("the study %s is left out: a file is missing", image_id)
                continue
            files = {"image": image, "label": label}
            listed.append(
                {kind: str(file if full_path else file.relative_to(self._folder)) for kind, file in files.items()}
            )
        return listed

    @_locked
    def status(self) -> dict[str, Any]:
        return super().status()

    @_locked
    def json(self) -> dict[str, Any]:
        return super().json()

    @_locked
    def refresh(self) -> None:
        super().refresh()

    def _on_any_event(self, event: Any) -> None:
        try:
            super()._on_any_event(event)
        except Exception:  # would end the thread that follows the changes
            logger.exception("the studies could not be listed again")

    @_locked
    def _init_from_datastore_file(self, throw_exception: bool = False) -> None:
        content = self._list.open() if throw_exception else self._list.read_if_changed()
        if content is not None:
            content.base_path = self._datastore_path
            self._datastore = content

    @_locked
    def _update_datastore_file(self, lock: bool = True) -> None:
        """Write the list completely or not at all, so that the server starts again after a kill."""
        self._list.write(self._datastore)

    def _add_non_existing_labels(self, tag: str) -> int:
        """List the labels that other programs put there."""
        usable = is_plain_name(tag) and not (self._folder / LABELS / tag).is_symlink()
        return int(super()._add_non_existing_labels(tag)) if usable else 0

    def _remove_non_existing(self) -> int:
        """Remove the studies and labels whose files no longer exist, and return their number."""
        self._init_from_datastore_file()
        studies = self._datastore.objects
        files = set(list_files(self._folder))
        gone = [
            name for name, study in studies.items() if not self._is_there(self._filename(name, study.image.ext), files)
        ]
        for image_id in gone:
            del studies[image_id]
        tags = {tag for study in studies.values() for tag in study.labels}
        files_of = {tag: self._label_files(tag) for tag in tags}
        labels = [
            (study, tag)
            for image_id, study in studies.items()
            for tag, label in study.labels.items()
            if self._filename(image_id, label.ext) not in files_of[tag]
        ]
        for study, tag in labels:
            del study.labels[tag]
        return len(gone) + len(labels)

    def _is_there(self, name: str, files: set[str]) -> bool:
        """Return whether a study still exists, by its file's name and the files in the folder."""
        return name in files

    def _label_files(self, tag: str) -> set[str]:
        try:
            return set(list_files(path_inside(self._folder, LABELS, tag)))
        except (LungsegError, OSError):  # a link, or removed
            return set()

    def _list_files(self, path: str, patterns: list[str]) -> dict[str, str]:
        """List the files that `find_studies` finds."""
        return {name: name for name in study_names(list_files(Path(path))).values()}

    def _to_id(self, file: str) -> tuple[str, str]:
        """Split the ending off; MONAI Label removes every occurrence of it in the name."""
        return split_ending(file) or super()._to_id(file)


def _existing_file(folder: Path, *names: str) -> Path | None:
    """Return a file in a folder, or None if there is none or a link leads to it."""
    try:
        path = path_inside(folder, *names)
    except LungsegError:
        return None
    return path if path.is_file() else None


def _short(name: str) -> str:
    """Shorten a name so that a number can follow it; a digest distinguishes names with the same beginning."""
    encoded = os.fsencode(name)
    if len(encoded) <= _LONGEST:
        return name
    return f"{encoded[:_LONGEST].decode(errors='ignore')}-{hashlib.sha256(encoded).hexdigest()[:12]}"


def _numbers(folder: Path, name: str) -> list[int]:
    """Return the numbers of the replaced labels of one study."""
    kept = folder.glob(f"{glob.escape(name)}.*")
    return [int(found[1]) for file in kept if (found := re.fullmatch(re.escape(name) + r"\.([0-9]+)", file.stem))]
