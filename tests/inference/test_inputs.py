# SPDX-License-Identifier: Apache-2.0
"""What `Predictor.predict` and `predict_many` take, and what they return."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from images_support import COMPRESSED, compress, write_dicom
from PIL import Image
from pydicom import Dataset, dcmread

import lungseg
from lungseg.data import phantom
from lungseg.io import Radiograph
from lungseg.utils.errors import LungsegError, UsageError


@pytest.fixture(scope="module")
def model(run_folder):
    return lungseg.load(run_folder, device="cpu")


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return phantom(1, (96, 72))[0]


@pytest.fixture(scope="module")
def png(pixels, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("inputs") / "a.png"
    Image.fromarray(pixels).save(path)
    return path


class Pipe:
    """A file object that can only be read, a few bytes at a time, and once."""

    def __init__(self, content: bytes) -> None:
        self._rest = io.BytesIO(content)

    def read(self, size: int = -1) -> bytes:
        return self._rest.read(min(size, 1000))


def same(first: lungseg.Prediction, second: lungseg.Prediction) -> bool:
    return (
        np.array_equal(first.labels, second.labels)
        and np.array_equal(first.probabilities, second.probabilities)
        and (first.judgement, first.measurements) == (second.judgement, second.measurements)
    )


FROM_PNG = {
    "str": str,
    "path": Path,
    "bytes": lambda path: io.BytesIO(path.read_bytes()),
    "pipe": lambda path: Pipe(path.read_bytes()),
    "array": lambda path: np.asarray(Image.open(path)),
    "columns first": lambda path: np.asfortranarray(np.asarray(Image.open(path))),
    "read-only": lambda path: np.frombuffer(Image.open(path).tobytes(), np.uint8).reshape(
        np.asarray(Image.open(path)).shape
    ),
    "image": Image.open,
    "radiograph": lungseg.read_radiograph,
    "integers": lambda path: Radiograph(np.asarray(Image.open(path))),
}


@pytest.mark.parametrize("kind", FROM_PNG)
def test_every_kind_of_input_gives_the_result_of_its_file(model, png, kind):
    assert same(model.predict(FROM_PNG[kind](png)), model.predict(png))


def test_an_open_file_is_read_from_where_it_stands(model, png, tmp_path):
    (tmp_path / "both").write_bytes(b"header" + png.read_bytes())
    with open(tmp_path / "both", "rb") as file:
        file.seek(6)
        assert same(model.predict(file), model.predict(png))


def test_the_network_sees_the_same_picture_with_the_same_facts(model, png):
    file, array = model.prepare(png).image, model.prepare(np.asarray(Image.open(png))).image
    assert torch.equal(file.as_tensor(), array.as_tensor())
    assert file.meta.keys() == array.meta.keys()
    assert torch.equal(file.affine, array.affine)


@pytest.mark.parametrize(
    "dtype", ["u1", "u2", "u4", "u8", "i2", "i4", "i8", ">u2", ">f4", "f2", "f4", "f8", "longdouble"]
)
def test_arrays_of_any_real_type(model, pixels, png, dtype):
    assert same(model.predict(pixels.astype(dtype)), model.predict(png))


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA", "I;16"])
def test_images_of_any_mode_are_taken_as_their_file(model, pixels, tmp_path, mode):
    deep = Image.fromarray(pixels.astype(np.uint16) * 257)
    image = deep if mode == "I;16" else Image.fromarray(pixels).convert(mode)
    image.save(tmp_path / "a.png")
    assert same(model.predict(image), model.predict(tmp_path / "a.png"))


@pytest.mark.parametrize("mode", ["I", "F", "CMYK", "I;16"])
@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_images_of_deep_modes_are_taken_as_their_tiff(model, pixels, tmp_path, mode, compression):
    kind = {"I": np.int32, "F": np.float32, "I;16": np.uint16}.get(mode, np.uint8)
    image = Image.fromarray(pixels.astype(kind))
    (image.convert("CMYK") if mode == "CMYK" else image).save(tmp_path / "a.tif", compression=compression)
    expected = model.predict(tmp_path / "a.tif")
    with Image.open(tmp_path / "a.tif") as stored:
        assert same(model.predict(stored), expected)
    with Image.open(tmp_path / "a.tif") as stored:
        stored.load()
        assert same(model.predict(stored), expected)


def test_a_photograph_is_turned_upright_and_stays_as_it_was(model, pixels, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "a.jpg", exif=exif)
    with Image.open(tmp_path / "a.jpg") as image:
        prediction = model.predict(image)
        assert image.size == pixels.shape[::-1]
        assert image.getexif()[0x0112] == 6
    assert prediction.labels.shape == pixels.shape[::-1]
    assert same(prediction, model.predict(tmp_path / "a.jpg"))


@pytest.mark.parametrize("channels", [3, 4])
def test_colours_are_taken_as_from_a_png(model, pixels, tmp_path, channels):
    colours = np.stack([pixels, pixels // 2, pixels // 3, np.full_like(pixels, 255)][:channels], axis=-1)
    Image.fromarray(colours).save(tmp_path / "a.png")
    assert same(model.predict(colours), model.predict(tmp_path / "a.png"))


def test_a_data_set_keeps_its_facts(model, pixels, tmp_path):
    write_dicom(tmp_path / "a.dcm", pixels, PixelSpacing=[0.5, 0.25], PhotometricInterpretation="MONOCHROME1")
    dataset = dcmread(tmp_path / "a.dcm")
    prediction, expected = model.predict(dataset), model.predict(tmp_path / "a.dcm")
    assert same(prediction, expected)
    assert prediction.spacing == (0.5, 0.25)
    assert prediction.measurements["lungs_mm2"] is not None
    assert dataset == dcmread(tmp_path / "a.dcm")
    # The file that it was read from for a moment is gone.
    assert str(prediction.radiograph.source.path) == str(tmp_path / "a.dcm")


@pytest.mark.parametrize("syntax", ["RLELossless", "JPEG2000Lossless", "JPEGLSLossless"])
def test_compressed_data_sets(model, pixels, tmp_path, syntax):
    assert syntax in COMPRESSED
    write_dicom(tmp_path / "a.dcm", pixels.astype(np.uint16))
    compress(tmp_path / "a.dcm", syntax)
    assert same(model.predict(dcmread(tmp_path / "a.dcm")), model.predict(tmp_path / "a.dcm"))


def test_an_array_knows_no_millimetres(model, pixels):
    prediction = model.predict(pixels)
    assert prediction.spacing is None
    unknown = {name for name, value in prediction.measurements.items() if value is None}
    assert {"right_mm2", "left_mm2", "lungs_mm2", "lungs_width_mm"} <= unknown
    assert prediction.measurements["image_width"] == 96


def test_a_radiograph_carries_the_spacing_that_the_caller_knows(model, pixels):
    prediction = model.predict(Radiograph(pixels, spacing=(0.5, 0.25), spacing_kind="patient"))
    assert prediction.spacing == (0.5, 0.25)
    area = prediction.measurements["lungs_px"] * 0.125
    assert prediction.measurements["lungs_mm2"] == pytest.approx(area, abs=0.1)
    numbers = {name: value for name, value in prediction.measurements.items() if value is not None}
    assert all(isinstance(value, int | float) for value in numbers.values())
    assert prediction.measurements.keys() == model.predict(pixels).measurements.keys()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda pixels: pixels > 100, "array-unsupported"),
        (lambda pixels: pixels.astype(complex), "array-unsupported"),
        (lambda pixels: pixels.astype(object), "array-unsupported"),
        (lambda pixels: pixels.astype(str), "array-unsupported"),
        (lambda pixels: pixels[None], "array-unsupported"),
        (lambda pixels: pixels[..., None], "array-unsupported"),
        (lambda pixels: pixels[0], "array-unsupported"),
        (lambda pixels: np.stack([pixels / 255] * 3, axis=-1), "colours-unsupported"),
        (lambda pixels: np.where(pixels == pixels.max(), np.nan, pixels), "not-finite"),
        (lambda pixels: np.where(pixels == pixels.max(), -np.inf, pixels), "not-finite"),
        (lambda pixels: pixels.astype(float) * 1e300, "not-finite"),
        (lambda pixels: Image.fromarray(pixels.astype(np.float32) * np.nan), "not-finite"),
        (lambda pixels: Radiograph(pixels * np.float32(np.nan)), "not-finite"),
        (lambda pixels: io.BytesIO(b""), "empty-file"),
        (lambda pixels: io.BytesIO(b"abc" * 1000), "unknown-format"),
        (lambda pixels: io.StringIO("abc"), "text-file"),
        (lambda pixels: pixels[:3], "too-small"),
        (lambda pixels: Image.fromarray(pixels[:3]), "too-small"),
    ],
)
def test_an_unusable_input_has_a_code_and_a_remedy(model, pixels, change, code):
    with pytest.raises(LungsegError) as error:
        model.predict(change(pixels))
    assert error.value.code == code
    assert error.value.remedy
    assert str(error.value).startswith("the ")


def test_a_damaged_file_object_is_named_and_its_temporary_file_is_not(model, png, tmp_path):
    (tmp_path / "cut.png").write_bytes(png.read_bytes()[:500])
    with open(tmp_path / "cut.png", "rb") as file, pytest.raises(LungsegError) as error:
        model.predict(file)
    assert error.value.code == "damaged"
    assert str(error.value.where) == str(tmp_path / "cut.png")


def test_a_file_object_that_cannot_be_read_has_a_code(model, png):
    with open(png, encoding="utf-8") as text, pytest.raises(LungsegError) as error:
        model.predict(text)
    assert error.value.code == "text-file"
    file = open(png, "rb")  # noqa: SIM115
    file.close()
    with pytest.raises(LungsegError) as error:
        model.predict(file)
    assert error.value.code == "not-readable"


def test_a_data_set_without_an_encoding(model, pixels):
    dataset = Dataset()
    dataset.PixelData = pixels.tobytes()
    with pytest.raises(LungsegError) as error:
        model.predict(dataset)
    assert error.value.code == "dataset-not-encodable"


def test_a_data_set_without_pixels(model, pixels, tmp_path):
    write_dicom(tmp_path / "a.dcm", pixels)
    with pytest.raises(LungsegError) as error:
        model.predict(dcmread(tmp_path / "a.dcm", stop_before_pixels=True))
    assert error.value.code == "no-picture"


def test_a_folder_is_sent_to_predict_folder(model, tmp_path):
    with pytest.raises(LungsegError) as error:
        model.predict(tmp_path)
    assert error.value.code == "is-folder"
    assert "predict_folder" in error.value.remedy


@pytest.mark.parametrize("wrong", [None, 3, ["a.png"], b"a.png", {"image": "a.png"}, torch.zeros(64, 64)])
def test_other_types_raise_a_type_error(model, wrong):
    with pytest.raises(TypeError, match="is not a supported input"):
        model.predict(wrong)


def test_predictions_are_frozen_short_and_can_be_sent_to_other_processes(model, png):
    prediction = model.predict(png)
    assert repr(prediction).startswith("<Prediction: 96 x 72 pixels, quality ")
    assert len(repr(prediction)) < 300
    with pytest.raises(AttributeError):
        prediction.quality = 1.0
    with pytest.raises(LungsegError) as error:
        _ = pickle.loads(pickle.dumps(prediction)).probabilities
    assert error.value.code == "probabilities-not-kept"
    probabilities = prediction.probabilities
    assert probabilities.shape == (2, 72, 96)
    assert probabilities.dtype == np.float32
    assert np.array_equal(pickle.loads(pickle.dumps(prediction)).probabilities, probabilities)


def test_many_are_read_a_batch_at_a_time_and_keep_their_order(model):
    sizes, read = [(96, 72), (80, 64), (96, 72), (64, 64), (72, 96)], []

    def sources():
        for number, size in enumerate(sizes):
            read.append(number)
            yield phantom(number, size)[0]

    predictions = model.predict_many(sources(), batch_size=2)
    assert read == []
    seen = []
    for number, prediction in enumerate(predictions):
        seen.append(prediction)
        assert len(read) == min(2 * (number // 2 + 1), len(sizes))
    assert [prediction.labels.shape for prediction in seen] == [phantom(0, size)[0].shape for size in sizes]
    alone = [model.predict(phantom(number, size)[0]) for number, size in enumerate(sizes)]
    assert [np.array_equal(one.labels, other.labels) for one, other in zip(seen, alone, strict=True)] == [True] * 5


def test_a_stack_is_several_radiographs(model, pixels):
    assert len(list(model.predict_many(np.stack([pixels, pixels])))) == 2


def test_an_error_is_raised_when_its_turn_comes(model, pixels, png):
    predictions = model.predict_many([pixels, png, "missing.png", pixels], batch_size=4)
    assert len([next(predictions), next(predictions)]) == 2
    with pytest.raises(LungsegError) as error:
        next(predictions)
    assert error.value.code == "not-found"
    assert list(predictions) == []


@pytest.mark.parametrize("batch_size", [1, 3])
def test_an_error_can_take_the_place_of_its_prediction(model, pixels, batch_size):
    sources = ["missing.png", pixels, pixels > 0, pixels]
    results = list(model.predict_many(sources, batch_size=batch_size, on_error="yield"))
    assert [getattr(result, "code", "ok") for result in results] == ["not-found", "ok", "array-unsupported", "ok"]


def test_wrong_use_of_predict_many_is_refused_at_once(model, png):
    for single in (str(png), png, io.BytesIO(), Image.open(png)):
        with pytest.raises(TypeError, match="use predict"):
            model.predict_many(single)
    with pytest.raises(UsageError) as error:
        model.predict_many([png], batch_size=0)
    assert error.value.code == "batch-size-too-small"
    with pytest.raises(UsageError) as error:
        model.predict_many([png], on_error="skip")
    assert error.value.code == "unknown-choice"
    assert list(model.predict_many([])) == []
