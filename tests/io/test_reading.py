# SPDX-License-Identifier: Apache-2.0
"""The same picture in every supported format gives the same array."""

import os
from pathlib import Path

import numpy as np
import pytest
from errors_support import fails
from images_support import GREY, GREY16, write_dicom
from PIL import Image

from lungseg.data import RadiographReader
from lungseg.io import read_radiograph

HEIGHT, WIDTH = GREY.shape


def _palette(reverse: bool) -> Image.Image:
    """GREY by indices, or by indices into a palette that runs from white to black."""
    picture = Image.fromarray(255 - GREY if reverse else GREY).convert("L")
    picture.putpalette([value for i in range(256) for value in [255 - i if reverse else i] * 3])
    return picture


def _with_alpha(alpha: int) -> Image.Image:
    picture = Image.fromarray(GREY).convert("LA")
    picture.putalpha(Image.new("L", picture.size, alpha))
    return picture


GREY_8_BIT = {
    "grey.png": (Image.fromarray(GREY), {}),
    "opaque.png": (_with_alpha(255), {}),
    "transparent.png": (_with_alpha(0), {}),
    "palette.png": (_palette(reverse=False), {}),
    "reversed-palette.png": (_palette(reverse=True), {}),
    "palette-with-alpha.png": (_palette(reverse=False), {"transparency": bytes([255] * 256)}),
    "rgb.png": (Image.fromarray(GREY).convert("RGB"), {}),
    "rgba.png": (Image.fromarray(GREY).convert("RGBA"), {}),
    "grey.tif": (Image.fromarray(GREY), {}),
    "lzw.tiff": (Image.fromarray(GREY), {"compression": "tiff_lzw"}),
    "deflate.tiff": (Image.fromarray(GREY), {"compression": "tiff_adobe_deflate"}),
    "palette.tiff": (_palette(reverse=True), {}),
    "rgb.tiff": (Image.fromarray(GREY).convert("RGB"), {}),
    "rgba.tiff": (Image.fromarray(GREY).convert("RGBA"), {}),
}


@pytest.mark.parametrize("name", GREY_8_BIT)
def test_eight_bit_formats_agree_exactly(tmp_path, name):
    picture, options = GREY_8_BIT[name]
    picture.save(tmp_path / name, **options)
    radiograph = read_radiograph(tmp_path / name)
    assert radiograph.pixels.dtype == np.float32
    np.testing.assert_array_equal(radiograph.pixels, GREY)
    assert (radiograph.spacing, radiograph.spacing_kind) == (None, "unknown")


@pytest.mark.parametrize(("name", "mode"), [("a.jpg", "L"), ("b.jpeg", "RGB"), ("c.jpg", "CMYK")])
def test_jpeg_is_close(tmp_path, name, mode):
    picture = Image.fromarray(GREY)
    (picture.convert("RGB") if mode == "CMYK" else picture).convert(mode).save(tmp_path / name, quality=98)
    assert np.abs(read_radiograph(tmp_path / name).pixels - GREY).mean() < 2


@pytest.mark.parametrize("name", ["deep.png", "deep.tif", "big-endian.tif", "signed.tif", "integer.tif", "float.tif"])
def test_deep_pixels_keep_their_values(tmp_path, name):
    values = GREY16
    if name == "big-endian.tif":
        picture = Image.frombytes("I;16B", (WIDTH, HEIGHT), GREY16.astype(">u2").tobytes())
    else:
        types = {"float.tif": np.float32, "integer.tif": np.int32, "signed.tif": np.int32}
        values = GREY16.astype(np.int64) - 40000 if name == "signed.tif" else GREY16
        picture = Image.fromarray(values.astype(types.get(name, np.uint16)))
    picture.save(tmp_path / name)
    np.testing.assert_array_equal(read_radiograph(tmp_path / name).pixels, values)


def test_white_is_zero_is_turned_round(tmp_path):
    from tifffile import imwrite

    for values in (GREY, GREY16):
        top = np.iinfo(values.dtype).max
        imwrite(tmp_path / "inverted.tif", top - values, photometric="miniswhite")
        np.testing.assert_array_equal(read_radiograph(tmp_path / "inverted.tif").pixels, values)


def test_one_bit_is_black_and_white(tmp_path):
    Image.fromarray(GREY > 99).save(tmp_path / "bits.png")
    np.testing.assert_array_equal(read_radiograph(tmp_path / "bits.png").pixels, 255 * (GREY > 99))


def test_deep_colours_are_read_at_eight_bits(tmp_path):
    from tifffile import imwrite

    imwrite(tmp_path / "deep.tif", np.stack([GREY16] * 3, axis=-1), photometric="rgb")
    np.testing.assert_allclose(read_radiograph(tmp_path / "deep.tif").pixels, GREY16 / 257, atol=1)


def test_deep_colours_that_eight_bits_cannot_tell_apart_are_refused(tmp_path):
    from tifffile import imwrite

    imwrite(tmp_path / "deep.tif", np.stack([GREY16 >> 4] * 3, axis=-1), photometric="rgb")
    with fails("colours-unsupported"):
        read_radiograph(tmp_path / "deep.tif")


def test_deep_colours_in_planes_apart_are_refused(tmp_path):
    from tifffile import imwrite

    imwrite(tmp_path / "deep.tif", np.stack([GREY16] * 3), photometric="rgb", planarconfig="separate")
    with fails("colours-unsupported"):
        read_radiograph(tmp_path / "deep.tif")


def test_signed_bytes_keep_their_signs(tmp_path):
    from tifffile import imwrite

    imwrite(tmp_path / "signed.tif", (GREY.astype(int) - 128).astype(np.int8))
    np.testing.assert_array_equal(read_radiograph(tmp_path / "signed.tif").pixels, GREY.astype(int) - 128)


@pytest.mark.parametrize("first", [True, False])
def test_the_preview_in_a_tiff_is_passed_over(tmp_path, first):
    from tifffile import TiffWriter

    with TiffWriter(tmp_path / "pages.tif") as pages:
        for preview in (first, not first):
            picture = GREY16[::2, ::2] if preview else GREY16
            pages.write(picture, photometric="minisblack", subfiletype=int(preview), contiguous=False)
    np.testing.assert_array_equal(read_radiograph(tmp_path / "pages.tif").pixels, GREY16)


@pytest.mark.parametrize("kind", ["u2", "i2", "i4", "f4"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("tile", [None, (16, 32)], ids=["strips", "tiles"])
def test_compressed_tiffs_of_either_byte_order(tmp_path, kind, byteorder, tile):
    from tifffile import imwrite

    values = GREY16.astype(kind)
    imwrite(tmp_path / "a.tif", values, byteorder=byteorder, compression="zlib", photometric="minisblack", tile=tile)
    np.testing.assert_array_equal(read_radiograph(tmp_path / "a.tif").pixels, values)


def test_a_jpeg_with_further_pictures_is_its_first(tmp_path):
    colours = Image.fromarray(GREY).convert("RGB")
    colours.save(tmp_path / "plain.jpg", quality=95)
    colours.save(tmp_path / "more.jpg", "MPO", quality=95, save_all=True, append_images=[colours.resize((20, 16))])
    expected = read_radiograph(tmp_path / "plain.jpg").pixels
    np.testing.assert_array_equal(read_radiograph(tmp_path / "more.jpg").pixels, expected)


def test_a_letterbox_of_middle_grey_is_no_damage(tmp_path):
    framed = np.pad(GREY, ((16, 16), (0, 2)), constant_values=128)
    Image.fromarray(framed).save(tmp_path / "a.jpg", quality=95)
    np.testing.assert_allclose(read_radiograph(tmp_path / "a.jpg").pixels, framed, atol=24)


@pytest.mark.safety("cut-short")
def test_fill_values_are_refused(tmp_path):
    from tifffile import imwrite

    values = GREY.astype(np.float32)
    values[:5] = np.finfo(np.float32).min
    imwrite(tmp_path / "filled.tif", values)
    with fails("not-finite"):
        read_radiograph(tmp_path / "filled.tif")


@pytest.mark.parametrize("filling", [0, 1000])
@pytest.mark.safety("cut-short")
def test_a_jpeg_whose_end_comes_too_soon_is_refused(tmp_path, filling):
    Image.fromarray(np.kron(GREY, np.ones((8, 8), np.uint8))).save(tmp_path / "a.jpg", quality=98)
    data = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(data[: len(data) // 2] + bytes(filling) + b"\xff\xd9")
    with fails("damaged"):
        read_radiograph(tmp_path / "a.jpg")


def test_what_is_transparent_is_black(tmp_path):
    picture = Image.fromarray(GREY).convert("RGBA")
    alpha = np.full(GREY.shape, 255, dtype=np.uint8)
    alpha[:, :10] = 0
    picture.putalpha(Image.fromarray(alpha))
    picture.save(tmp_path / "cut-out.png")
    np.testing.assert_array_equal(read_radiograph(tmp_path / "cut-out.png").pixels, np.where(alpha, GREY, 0))


@pytest.mark.parametrize(
    ("name", "values"),
    [("a.jpg", GREY), ("a.png", GREY), ("a.tif", GREY), ("deep.png", GREY16), ("deep.tif", GREY16)],
)
def test_orientation_is_obeyed(tmp_path, name, values):
    exif = Image.Exif()
    exif[0x0112] = 6  # the first row is shown on the right
    Image.fromarray(np.ascontiguousarray(np.rot90(values))).save(tmp_path / name, exif=exif)
    pixels = read_radiograph(tmp_path / name).pixels
    assert pixels.shape == values.shape
    assert np.abs(pixels - values).mean() < 3


def test_monai_reads_x_first(tmp_path):
    from monai.bundle import ConfigParser

    Image.fromarray(GREY).save(tmp_path / "a.png")
    write_dicom(tmp_path / "b.dcm", GREY16, PixelSpacing=[0.2, 0.1])
    config = {"_target_": "LoadImaged", "keys": "image", "reader": {"_target_": "lungseg.data.RadiographReader"}}
    load = ConfigParser({"load": config}).get_parsed_content("load")

    image = load({"image": tmp_path / "a.png"})["image"]
    assert image.shape == (WIDTH, HEIGHT)
    np.testing.assert_array_equal(image.numpy(), GREY.T)
    assert image.meta["original_channel_dim"] == "no_channel"
    assert np.isnan(image.meta["spacing"]).all()
    np.testing.assert_array_equal(image.affine, np.eye(4))

    image = load({"image": str(tmp_path / "b.dcm")})["image"]
    np.testing.assert_array_equal(image.numpy(), GREY16.T)
    assert image.meta["spacing"].tolist() == [0.2, 0.1]
    assert image.meta["spacing_kind"] == "unknown"
    assert image.meta["filename_or_obj"] == str(tmp_path / "b.dcm")
    np.testing.assert_array_equal(image.affine, np.diag([0.1, 0.2, 1, 1]))


def test_known_and_unknown_spacings_share_a_batch(tmp_path):
    from monai.data import DataLoader, Dataset
    from monai.transforms import LoadImaged

    Image.fromarray(GREY).save(tmp_path / "a.png")
    write_dicom(tmp_path / "b.dcm", GREY16, PixelSpacing=[0.2, 0.1])
    cases = [{"image": tmp_path / "a.png"}, {"image": tmp_path / "b.dcm"}]
    loader = DataLoader(Dataset(cases, LoadImaged("image", reader=RadiographReader())), batch_size=2)
    assert next(iter(loader))["image"].shape == (2, WIDTH, HEIGHT)


def test_shared_radiograph_equals_pillows():
    if "LUNGSEG_DATA" not in os.environ:
        pytest.skip("LUNGSEG_DATA names no data")
    path = Path(os.environ["LUNGSEG_DATA"], "Lung Segmentation", "CXR_png", "MCUCXR_0001_0.png")
    np.testing.assert_array_equal(read_radiograph(path).pixels, np.asarray(Image.open(path)))
