# SPDX-License-Identifier: Apache-2.0
"""The transforms that MONAI lacks, and what augmentation must not do to the sides."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd, ScaleIntensityRangePercentilesd
from scipy import ndimage

from lungseg.data import phantom, write_phantoms
from lungseg.data.labels import NOT_STATED
from lungseg.model.paths import config_file
from lungseg.transforms.augmentation import RandMirrord, RandSimulateDevicesd, RandSimulateOpacityd, RandWindowd
from lungseg.transforms.frames import foreground_mask
from lungseg.transforms.intensity import CLAHEd, ScaleIntensityRangePercentilesFastd
from lungseg.transforms.post import CleanComponents
from lungseg.transforms.regions import AsRegionsd, LungProbabilitiesd, RegionsToLabelsd, label_map
from lungseg.transforms.spatial import ResizeLabelsd, ResizeShorterSided


@pytest.mark.parametrize(("shape", "expected"), [((160, 320), (64, 85)), ((300, 100), (128, 64)), ((40, 50), (64, 64))])
def test_an_image_is_squeezed_a_little_and_comes_back(shape, expected):
    transform = Compose([ResizeShorterSided("image", 64)])
    data = transform({"image": MetaTensor(torch.rand(1, *shape))})
    assert data["image"].shape[1:] == expected
    x = torch.linspace(0, 1, expected[0])[:, None].expand(expected)
    data["pred"] = MetaTensor(x[None].clone())
    back = Invertd("pred", transform, "image", nearest_interp=False)(data)["pred"]
    assert back.shape == (1, *shape)
    # Bilinear along x: no blocks as the "area" mode would leave them.
    steps = back[0, :, 0].diff()
    assert steps.max() <= (1 / (expected[0] - 1)) * (expected[0] / shape[0]) * 1.01
    assert (steps >= -1e-6).all()


def test_labels_are_resized_without_a_shift():
    """An outline keeps its place: half a pixel of the file would cost half a percent of Dice."""
    label = torch.zeros(1, 128, 128)
    label[:, 30:91, 41:100], label[:, 60:91, 41:100] = 1, 2
    small = ResizeLabelsd("label", 64)({"label": label})["label"]
    assert small.shape == (1, 64, 64)
    assert small.dtype == torch.uint8
    for value in (1, 2):
        native, resized = (torch.argwhere(m[0] == value).float() + 0.5 for m in (label, small))
        torch.testing.assert_close(resized.mean(0) * 2, native.mean(0), atol=0.05, rtol=0)
        assert len(resized) * 4 == pytest.approx(len(native), rel=0.01)


def test_percentiles_equal_monai():
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.normal(1000, 300, (1, 50, 70)).astype(np.float32))
    ours = ScaleIntensityRangePercentilesFastd("image")({"image": image})["image"]
    theirs = ScaleIntensityRangePercentilesd("image", 0.5, 99.5, 0, 1, clip=True)({"image": image})["image"]
    torch.testing.assert_close(torch.Tensor(ours), torch.Tensor(theirs), rtol=1e-4, atol=1e-4)


def test_exposure_and_bit_depth_do_not_matter():
    image, _ = phantom(1, size=(90, 110))
    one = ScaleIntensityRangePercentilesFastd("image")({"image": torch.from_numpy(image.astype(np.float32))[None]})[
        "image"
    ]
    other = ScaleIntensityRangePercentilesFastd("image")({"image": torch.from_numpy(image * 257.0 + 900)[None]})[
        "image"
    ]
    torch.testing.assert_close(torch.Tensor(one), torch.Tensor(other), rtol=1e-5, atol=1e-5)


def test_an_image_of_one_grey_value_becomes_zero():
    out = ScaleIntensityRangePercentilesFastd("image")({"image": torch.full((1, 20, 20), 7.0)})["image"]
    assert (out == 0).all()


def test_clahe_stays_in_range_and_keeps_the_meta():
    image = MetaTensor(torch.rand(1, 64, 80), meta={"filename_or_obj": "a.png"})
    out = CLAHEd("image")({"image": image})["image"]
    assert out.shape == image.shape
    assert out.meta["filename_or_obj"] == "a.png"
    assert 0 <= out.min() < out.max() <= 1


def test_a_pixel_is_lung_above_the_threshold_and_of_the_likelier_side():
    probabilities = torch.rand(3, 40, 50).softmax(0)
    data = AsRegionsd("pred", threshold=0.4)({"pred": probabilities[1:]})
    side = 1 + probabilities[1:].argmax(0)
    expected = torch.where(probabilities[0] < 0.6, side, 0)
    for extent in ("visible", "full"):
        labels = RegionsToLabelsd("pred", extent=extent, heart=True)(data)["pred"]
        torch.testing.assert_close(labels[0].long(), expected)
        assert labels.dtype == torch.uint8


def test_logits_of_the_heart_have_a_sigmoid_of_their_own():
    logits = torch.randn(4, 5, 6)
    found = LungProbabilitiesd("pred")({"pred": logits})["pred"]
    torch.testing.assert_close(found[:2].as_tensor(), logits[:3].softmax(0)[1:])
    torch.testing.assert_close(found[2].as_tensor(), logits[3].sigmoid())
    assert LungProbabilitiesd("pred")({"pred": logits[:3]})["pred"].shape == (2, 5, 6)


# By pixel: right lung, left lung, left lung behind the heart, heart alone, a heart that is unlikely over likely lung.
_PIXELS = torch.tensor([[0.9, 0.1, 0.0, 0.0, 0.1], [0.0, 0.8, 0.9, 0.2, 0.9], [0.0, 0.1, 0.9, 0.8, 0.5]])[:, :, None]


@pytest.mark.parametrize(
    ("extent", "heart", "labels"),
    [
        ("visible", False, [1, 2, 0, 0, 2]),
        ("full", False, [1, 2, 2, 0, 2]),
        ("visible", True, [1, 2, 3, 3, 2]),
        ("full", True, [1, 2, 2, 3, 2]),
    ],
)
def test_the_heart_hides_lung_in_the_visible_extent_alone(extent, heart, labels):
    regions = AsRegionsd("pred", threshold=0.45)({"pred": _PIXELS.clone()})
    assert regions["pred"].flatten().tolist() == [5, 6, 10, 8, 6]
    assert RegionsToLabelsd("pred", extent, heart)(regions)["pred"].flatten().tolist() == labels
    assert label_map(regions["pred"].numpy(), extent, heart).flatten().tolist() == labels


def _lungs(labels: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.one_hot(labels, 3).movedim(-1, 0).float()[1:]


def _cleaned(probabilities: torch.Tensor, extent: str = "full", threshold: float = 0.5) -> torch.Tensor:
    """Label what `CleanComponents` leaves, with 3 for the heart."""
    regions = AsRegionsd("pred", threshold)({"pred": CleanComponents(threshold=threshold)(probabilities)})["pred"]
    return label_map(regions, extent, heart=True)[0].long()


def test_islands_go_and_lungs_stay():
    labels = torch.zeros(60, 60, dtype=torch.long)
    labels[5:25, 5:50], labels[35:55, 5:50] = 1, 2
    labels[28:31, 55:58] = 2
    cleaned = _cleaned(_lungs(labels))
    labels[28:31, 55:58] = 0
    torch.testing.assert_close(cleaned, labels)


@pytest.mark.parametrize(("width", "kept"), [(8, False), (20, True)])
def test_of_a_lung_in_two_pieces_the_smaller_stays_if_it_is_half_as_large(width, kept):
    labels = torch.zeros(60, 60, dtype=torch.long)
    labels[5:35, 5:25], labels[5:35, 30 : 30 + width] = 1, 1
    tidy = _cleaned(_lungs(labels))
    assert (tidy[20, 32] == 1) == kept
    assert tidy[20, 10] == 1


def test_no_speck_is_left_that_the_threshold_would_draw():
    probabilities = torch.zeros(2, 60, 60)
    probabilities[:, 5:35, 5:25] = torch.tensor([0.9, 0.0])[:, None, None]
    probabilities[:, 50:52, 50:52] = torch.tensor([0.27, 0.2])[:, None, None]  # less than background, but drawn
    drawn = _cleaned(probabilities, threshold=0.45)
    assert (drawn[5:35, 5:25] == 1).all()
    assert (drawn > 0).sum() == 30 * 20


def test_holes_are_filled_with_the_lung_around_them():
    labels = torch.zeros(60, 60, dtype=torch.long)
    labels[5:25, 5:50], labels[35:55, 5:50] = 1, 2
    expected = labels.clone()
    labels[10:14, 20:25], labels[40:42, 30:33] = 0, 1
    torch.testing.assert_close(_cleaned(_lungs(labels)), expected)


def test_of_the_heart_the_largest_component_stays():
    labels = torch.zeros(60, 60, dtype=torch.long)
    labels[5:25, 5:55], labels[35:55, 5:55] = 1, 2
    heart = torch.zeros(1, 60, 60)
    heart[0, 25:45, 30:50] = 1
    heart[0, 8:10, 8:10] = 0.9  # inside a visible lung
    heart[0, 5:7, 40:44] = 0.9  # at its border
    cleaned = _cleaned(torch.cat([_lungs(labels), heart]), "visible")
    expected = labels.clone()
    expected[25:45, 30:50] = 3
    torch.testing.assert_close(cleaned, expected)


def test_a_hole_in_the_visible_lung_is_visible_and_its_islands_are_hidden_lung():
    labels = torch.zeros(60, 60, dtype=torch.long)
    labels[5:25, 5:55], labels[35:55, 5:55] = 1, 2
    given = torch.cat([_lungs(labels), torch.zeros(1, 60, 60)])
    enclosed = given.clone()
    enclosed[2, 10:15, 20:30] = 1
    torch.testing.assert_close(_cleaned(enclosed, "visible"), labels)
    given[2, 30:55, 40:50] = 1
    # The heart reaches the lower border of the left lung, and cuts off its end.
    full, visible = _cleaned(given), _cleaned(given, "visible")
    assert (full[35:55, 5:55] == 2).all()
    assert (visible[35:55, 50:55] == 0).all()
    assert (visible[35:55, 5:40] == 2).all()


def test_opacity_changes_the_image_alone():
    image, labels = phantom(2, size=(96, 128))
    data = {
        "image": torch.from_numpy(image.T.astype(np.float32) / 255)[None],
        "label": torch.from_numpy(labels.T.copy())[None],
    }
    transform = RandSimulateOpacityd("image", prob=1.0).set_random_state(0)
    out = transform(data)
    assert (out["image"] != data["image"]).any()
    torch.testing.assert_close(out["label"], data["label"])
    assert out["image"].dtype == torch.float32


def test_a_mirrored_lung_gets_the_label_of_its_side():
    labels = torch.tensor([[0, 1], [2, 0], [2, 3]])[None]  # (1, W, H)
    data = {"image": torch.arange(6.0).reshape(1, 3, 2), "label": labels}
    out = RandMirrord(["image", "label"], prob=1.0)(data)
    assert out["image"].tolist() == [[[4, 5], [2, 3], [0, 1]]]
    assert out["label"].tolist() == [[[1, 3], [1, 0], [0, 2]]]
    assert out["label"].dtype == labels.dtype


def test_augmentation_never_swaps_the_sides(tmp_path):
    """After every random transform the right lung still lies to the left of the left one."""
    write_phantoms(tmp_path, 2, seed=4, size=(120, 100))
    parser = ConfigParser(json.loads(config_file("train").read_text()))
    parser["image_size"] = 64
    transform = parser.get_parsed_content("train#preprocessing").set_random_state(3)
    names = [f"phantom_000{number}.png" for number in (1, 2)]
    for index in range(20):
        name = names[index % 2]
        item = transform({"image": str(tmp_path / "CXR_png" / name), "label": str(tmp_path / "masks" / name)})
        assert item["image"].shape == (1, 64, 64)
        assert item["label"].shape == (3, 64, 64)
        right, left = (torch.argwhere(item["label"][0] == lung)[:, 0].float().mean() for lung in (1, 2))
        assert right < left
        assert set(item["label"][0].unique().tolist()) <= {0, 1, 2}
        # The reference states one extent only.
        assert set(item["label"][1:].unique().tolist()) <= {0, NOT_STATED}


def box(image: np.ndarray) -> tuple[slice, slice]:
    """The rectangle that lies inside the borders of (H, W) pixels, as slices of rows and columns."""
    inside = foreground_mask(torch.from_numpy(image.T.copy())[None])[0].T
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    assert inside.sum() == len(rows) * len(columns)
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_uniform_borders_are_found_whatever_their_grey_and_the_text_in_them(level):
    rng = np.random.default_rng(0)
    image = rng.integers(20, 235, (90, 70)).astype(np.float32)
    framed = np.pad(image, ((12, 0), (31, 17)), constant_values=level)
    framed[40:44, 5:9] = 255 - level
    assert box(framed) == (slice(12, 102), slice(31, 101))


@pytest.mark.parametrize("level", [0, 235])
def test_a_frame_under_a_title_bar_is_found(level):
    """The bar makes the frame's outermost columns differ, until it is taken off."""
    rng = np.random.default_rng(0)
    image = rng.integers(20, 200, (90, 70)).astype(np.float32)
    framed = np.pad(image, ((15, 25), (31, 17)), constant_values=level)
    framed = np.pad(framed, ((10, 0), (0, 0)), constant_values=60)
    assert box(framed) == (slice(25, 115), slice(31, 101))


def test_at_least_a_quarter_of_each_side_is_kept():
    framed = np.zeros((100, 100), np.float32)
    framed[40:60, 30:70] = np.random.default_rng(0).integers(20, 200, (20, 40))
    assert box(framed) == (slice(0, 100), slice(30, 70))


@pytest.mark.parametrize("level", [10, 128, 240])
def test_noise_does_not_hide_a_border(level):
    """Detectors and scanners leave some in what a collimator covers."""
    rng = np.random.default_rng(1)
    blobs = ndimage.gaussian_filter(rng.normal(size=(520, 430)), 20)
    image = 20 + 215 * (blobs - blobs.min()) / np.ptp(blobs)
    framed = np.pad(image, ((80, 30), (0, 120)), constant_values=level) + rng.normal(0, 7, (630, 550))
    rows, columns = box(framed.clip(0, 255).astype(np.float32))
    found = np.array([rows.start, rows.stop, columns.start, columns.stop])
    assert np.abs(found - [80, 600, 0, 430]).max() < 15


def test_a_picture_without_borders_and_one_of_one_grey_are_kept_whole():
    image = np.random.default_rng(0).integers(0, 255, (40, 60)).astype(np.float32)
    for picture in (image, np.full((40, 60), 7, np.float32)):
        assert box(picture) == (slice(0, 40), slice(0, 60))


def test_little_is_not_taken_for_the_picture():
    """A thin bright line on black is not all there is to see."""
    image = np.zeros((100, 100), np.float32)
    image[:, 50:60] = np.random.default_rng(0).integers(50, 255, (100, 10))
    assert box(image) == (slice(0, 100), slice(0, 100))


def test_a_window_saturates_what_lies_beyond_it():
    image = torch.tensor([[[0.0, 0.1, 0.25, 0.5, 1.0]]])
    assert RandWindowd("image", low=0, width=(0.5, 0.5), prob=1.0)({"image": image})["image"].tolist() == [
        [[0.0, pytest.approx(0.2), 0.5, 1.0, 1.0]]
    ]
    narrow = RandWindowd("image", low=0.3, width=(1.0, 1.0), prob=1.0)
    narrow.set_random_state(0)
    cut = narrow({"image": image})["image"]
    assert cut.min() == 0
    assert cut.max() == pytest.approx(1.0)
    assert (cut == 0).sum() > 1


def test_devices_are_bright_and_leave_the_rest():
    before = torch.full((1, 64, 80), 0.4)
    changed = RandSimulateDevicesd("image", prob=1.0)
    changed.set_random_state(3)
    after = changed({"image": before})["image"]
    assert after.shape == before.shape
    assert (after >= before - 1e-6).all()
    assert 0 < (after > before).float().mean() < 0.5
