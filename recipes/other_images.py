# SPDX-License-Identifier: Apache-2.0
"""Images that are not frontal chest radiographs, from the installed packages.

Half of the sources serve to fit the recognition of such images; the others are held out of all fitting.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lungseg.io import read_radiograph
from lungseg.utils.errors import LungsegError

_PHOTOGRAPHS = (
    "astronaut camera chelsea coffee horse rocket motorcycle_left brick gravel grass coins chessboard_GRAY clock_motion"
)
_SCIENCE = "retina ihc cell moon hubble_deep_field microaneurysms phantom"
_DICOM_FIT = "CT_small MR_small J2K_pixelrep_mismatch examples_overlay image_dfl SC_rgb_gdcm_KY examples_rgb_color"
_DICOM_HELD_OUT = (
    "693_UNCR JPEG-LL JPGLosslessP14SV1_1s_1f_8b MR-SIEMENS-DICOM-WithOverlays MR2_UNCR RG3_UNCR US1_UNCR "
    "bad_sequence color-pl explicit_VR-UN mlut_18 OT-PAL-8-face"
)


def other_images(held_out: bool) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield (source, name, pixels), pixels being (H, W) float32 in any units.

    Args:
        held_out: whether to take the sources that are held out of all fitting, or the others.
    """
    sources = _HELD_OUT if held_out else _FIT
    for source, images in sources.items():
        for name, pixels in images():
            yield source, name, np.asarray(pixels, dtype=np.float32)


def _read(folder: Path, names: str, endings: tuple[str, ...]) -> Iterator[tuple[str, np.ndarray]]:
    for name in names.split():
        for path in (folder / f"{name}{ending}" for ending in endings):
            if path.is_file():
                try:
                    yield name, read_radiograph(path).pixels
                except LungsegError:
                    continue  # a file that the reader refuses cannot be segmented either


def _skimage(names: str) -> Iterator[tuple[str, np.ndarray]]:
    yield from _read(Path(str(files("skimage.data"))), names, (".png", ".jpg"))


def _pydicom_files() -> Iterator[tuple[str, np.ndarray]]:
    yield from _read(Path(str(files("pydicom"))) / "data" / "test_files", _DICOM_FIT, (".dcm",))


def _pydicom_data() -> Iterator[tuple[str, np.ndarray]]:
    yield from _read(Path(str(files("data_store"))) / "data", _DICOM_HELD_OUT, (".dcm",))


def _noise_and_blanks() -> Iterator[tuple[str, np.ndarray]]:
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(1)
    y, x = np.mgrid[0:256, 0:256]
    yield "black", np.zeros((256, 256))
    yield "white", np.full((256, 256), 255.0)
    yield "ramp", x
    yield "vignette", np.hypot(x - 128, y - 128)
    for blur in (0, 1, 4, 16, 40):
        yield f"noise_{blur}", gaussian_filter(rng.normal(size=(256, 256)), blur)


def _scikit_learn() -> Iterator[tuple[str, np.ndarray]]:
    yield from _read(Path(str(files("sklearn.datasets"))) / "images", "china flower", (".jpg",))


def _pywavelets() -> Iterator[tuple[str, np.ndarray]]:
    for name in ("aero", "ascent"):
        yield name, np.load(Path(str(files("pywt"))) / "data" / f"{name}.npz")["data"]


def _nibabel() -> Iterator[tuple[str, np.ndarray]]:
    import nibabel

    for name in ("anatomical.nii", "functional.nii"):
        volume = np.asarray(nibabel.load(Path(str(files("nibabel"))) / "tests" / "data" / name).dataobj)
        volume = volume[..., 0] if volume.ndim == 4 else volume
        for axis in range(3):
            slice_ = np.take(volume, volume.shape[axis] // 2, axis)
            yield f"{name}_{axis}", np.kron(slice_.T[::-1], np.ones((8, 8)))


def _text_pages() -> Iterator[tuple[str, np.ndarray]]:
    yield from _skimage("page text")
    words = ["the", "patient", "was", "seen", "today", "findings", "of", "examination", "are", "described", "below"]
    for seed, size in enumerate((14, 22, 34)):
        rng = np.random.default_rng(seed)
        page = Image.new("L", (600, 800), 255)
        draw = ImageDraw.Draw(page)
        for top in range(40, 760, int(size * 1.6)):
            line = " ".join(rng.choice(words, 900 // (size * 3)))
            draw.text((40, top), line, fill=0, font=ImageFont.load_default(size))
        yield f"page_{size}", np.asarray(page)


_FIT = {
    "photographs and textures": lambda: _skimage(_PHOTOGRAPHS),
    "pydicom's test files": _pydicom_files,
    "noise, ramps and blanks": _noise_and_blanks,
}
_HELD_OUT = {
    "pydicom-data": _pydicom_data,
    "photographs of scikit-learn": _scikit_learn,
    "photographs of PyWavelets": _pywavelets,
    "slices of nibabel's volumes": _nibabel,
    "text pages": _text_pages,
    "eyes, cells and sky of scikit-image": lambda: _skimage(_SCIENCE),
}
