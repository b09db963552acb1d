# SPDX-License-Identifier: Apache-2.0
# mypy: disallow-subclassing-any=False, warn-return-any=False
"""The studies in a folder: MONAI Label's datastore, made safe against threads, kills and unusual names."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Concatenate, ParamSpec, TypeVar

from monailabel.datastore.local import DataModel, LocalDatastore

from lungseg.io import write_png
from lungseg.io.formats import split_ending
from lungseg.utils.errors import LungsegError
from lungseg.utils.files import atomic_path
from lungseg.workflows.label.store.label_maps import decode
from lungseg.workflows.label.store.saved_labels import (
    MayReplace,
    SavedLabel,
    label_changed,
    saved_label,
    version_of,
)
from lungseg.workflows.label.store.study_files import LABELS, PATTERNS, study_names

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
    notices files that are renamed.

    Args:
        folder: the studies.
        replaced: folder for the labels that newer ones replace.
        watch: follow the changes that other programs make in the folder.
    """

    def __init__(self, folder: str, replaced: Path, watch: bool = True) -> None:
        self._mutex = threading.RLock()
        self.replaced = Path(replaced)
        super().__init__(folder, labels_dir=LABELS, extensions=PATTERNS, auto_reload=watch)
        if watch:
            # Many programs write under a temporary name and rename the finished file.
            self._handler.on_moved = self._on_any_event

    def file_of(self, image_id: str) -> Path | None:
        """Return the file of a study, or None if there is no such study."""
        uri = self.get_image_uri(image_id)
        return Path(uri) if uri else None

    def label_file(self, image_id: str, tag: str) -> Path | None:
        """Return the file of a study's label, or None if there is none."""
        uri = LocalDatastore.get_label_uri(self, image_id, tag)
        return Path(uri) if uri and Path(uri).is_file() else None

    @_locked
    def saved_label(self, image_id: str, tag: str) -> SavedLabel | None:
        """Return a study's label with its version, or None if there is none."""
        file = self.label_file(image_id, tag)
        with suppress(FileNotFoundError):  # another program removes it
            return None if file is None else saved_label(file, self.get_label_info(image_id, tag))
        return None

    def save_label_map(
        self,
        image_id: str,
        file: Path,
        tag: str,
        info: dict[str, Any],
        may_replace: MayReplace = lambda version: True,
    ) -> str:
        """Save a label map of any known format as a PNG, and return its version.

        Nothing is written if the same label is already there and `may_replace` is false: a client that did not get the
        answer to its first try sends the label again.

        Raises:
            LabelChangedError: the label that is there now may not be replaced.
            LungsegError: there is no such study (study-unknown), or the file is not a label map of it.
        """
        image = self.file_of(image_id)
        if image is None:
            what, remedy = f"there is no study {image_id!r}", "list the studies with GET /lungseg/studies"
            raise LungsegError(what, remedy=remedy, code="study-unknown")
        labels = decode(file, image)
        with TemporaryDirectory(prefix="lungseg-") as folder:
            png = Path(folder, "label.png")
            write_png(png, labels)
            version = version_of(png.read_bytes())
            # No other label can be saved between the check and the saving.
            with self._mutex:
                before = self.saved_label(image_id, tag)
                if may_replace(None if before is None else before.version):
                    self.save_label(image_id, str(png), tag, {**info, "version": version})
                elif before is None or before.version != version:
                    raise label_changed(image_id, before)
        return version

    @_locked
    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]) -> str:
        """Save a label's file; the label that it replaces is kept."""
        self._keep(image_id, label_tag)
        obj = self._datastore.objects[image_id]
        _, ending = self._to_id(os.path.basename(label_filename))
        target = Path(self._datastore.label_path(label_tag)) / self._filename(image_id, ending)
        with atomic_path(target) as temporary:
            temporary.write_bytes(Path(label_filename).read_bytes())
        obj.labels[label_tag] = DataModel(info={**label_info, "ts": int(time.time()), "name": target.name}, ext=ending)
        self._update_datastore_file()
        return image_id

    def _keep(self, image_id: str, tag: str) -> None:
        before = self.label_file(image_id, tag)
        if before is None:
            return
        folder, name = self.replaced / tag, _short(before.stem)
        number = 1 + max(_numbers(folder, name), default=0)
        with atomic_path(folder / f"{name}.{number}{before.suffix}") as temporary:
            temporary.write_bytes(before.read_bytes())

    @_locked
    def remove_label(self, label_id: str, label_tag: str) -> None:
        self._keep(label_id, label_tag)
        super().remove_label(label_id, label_tag)
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
        return super().add_image(image_id, image_filename, image_info)

    @_locked
    def remove_image(self, image_id: str) -> None:
        super().remove_image(image_id)
        self.refresh()

    @_locked
    def update_image_info(self, image_id: str, info: dict[str, Any]) -> None:
        super().update_image_info(image_id, info)

    @_locked
    def update_label_info(self, label_id: str, label_tag: str, info: dict[str, Any]) -> None:
        super().update_label_info(label_id, label_tag, info)

    @_locked
    def datalist(self, full_path: bool = True) -> list[dict[str, Any]]:
        return super().datalist(full_path)

    @_locked
    def status(self) -> dict[str, Any]:
        return super().status()

    @_locked
    def json(self) -> dict[str, Any]:
        return super().json()

    @_locked
    def refresh(self) -> None:
        super().refresh()

    @_locked
    def _init_from_datastore_file(self, throw_exception: bool = False) -> None:
        super()._init_from_datastore_file(throw_exception)

    @_locked
    def _update_datastore_file(self, lock: bool = True) -> None:
        """Write the list completely or not at all, so that the server starts again after a kill."""
        content = self._datastore.model_dump(exclude={"base_path"})
        with atomic_path(self._datastore_config_path) as temporary:
            temporary.write_text(json.dumps(content, indent=2, default=str))
        self._config_ts = os.stat(self._datastore_config_path).st_mtime

    def _list_files(self, path: str, patterns: list[str]) -> dict[str, str]:
        """List the files that `find_studies` finds."""
        with os.scandir(path) as entries:
            return {name: name for name in study_names(entry.name for entry in entries if entry.is_file()).values()}

    def _to_id(self, file: str) -> tuple[str, str]:
        """Split the ending off; MONAI Label removes every occurrence of it in the name."""
        return split_ending(file) or super()._to_id(file)


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
