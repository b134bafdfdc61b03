"""Transforms: what the weights expect, picklable, and functions of the generators' state alone."""

import pickle
import random

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import create_transform

from inarch import RecipeError
from inarch_vision.augment import Augment
from inarch_vision.preprocessing import Preprocessing
from inarch_vision.transforms import Evaluation, cutmix, mixup, training_transform

PREPROCESSING = Preprocessing(
    image_size=48,
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    interpolation="bicubic",
    crop_fraction=0.875,
    crop_mode="center",
)
ALL = Augment(flip="both", rotate=10, color=0.2, randaugment=(2, 9), erasing=0.5, mixup=0.2, cutmix=1.0)


def photo(width=120, height=90):
    corners = np.random.default_rng(0).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return Image.fromarray(corners).resize((width, height), Image.Resampling.BICUBIC)


def seeded(function, *arguments):
    random.seed(3), torch.manual_seed(3)
    return function(*arguments)


@pytest.mark.parametrize("size", [(120, 90), (90, 121), (40, 30), (333, 50)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("crop_mode", ["center", "squash"])
@pytest.mark.parametrize("crop_fraction", [1.0, 0.875, 0.9, 0.95])
def test_evaluation_is_timms_own_within_two_levels(size, interpolation, crop_mode, crop_fraction):
    wanted = {"interpolation": interpolation, "crop_mode": crop_mode}
    transform = Evaluation(
        Preprocessing(image_size=48, mean=(0, 0, 0), std=(1, 1, 1), crop_fraction=crop_fraction, **wanted)
    )
    reference = create_transform((3, 48, 48), crop_pct=crop_fraction, normalize=False, **wanted)
    found = transform(photo(*size))["image"]
    assert found.shape == (3, 48, 48) and found.dtype == torch.uint8
    assert (found.int() - reference(photo(*size)).int()).abs().max() <= 2


@pytest.mark.parametrize("augment", [Augment(), ALL])
def test_training_is_a_function_of_the_seed_and_survives_pickling(augment):
    transform = training_transform(PREPROCESSING, augment)
    copy = pickle.loads(pickle.dumps(transform))
    first, second = seeded(transform, photo())["image"], seeded(copy, photo())["image"]
    assert first.shape == (3, 48, 48) and first.dtype == torch.uint8
    assert torch.equal(first, second)
    assert not torch.equal(first, transform(photo())["image"])


def test_evaluation_survives_pickling():
    transform = Evaluation(PREPROCESSING)
    copy = pickle.loads(pickle.dumps(transform))
    assert torch.equal(transform(photo())["image"], copy(photo())["image"])


def test_mix_exists_only_where_it_is_on():
    assert not hasattr(training_transform(PREPROCESSING, Augment()), "mix")
    assert hasattr(training_transform(PREPROCESSING, Augment(mixup=0.2)), "mix")


@pytest.mark.parametrize("augment", [Augment(mixup=1.0), Augment(cutmix=1.0)])
def test_the_share_is_what_is_left_of_the_first_image(augment):
    transform = training_transform(PREPROCESSING, augment)
    white, black = (torch.full((3, 48, 48), value, dtype=torch.uint8) for value in (255, 0))
    random.seed(0)
    shares = []
    for _ in range(50):
        mixed, share = transform.mix({"image": white}, {"image": black})
        assert abs(mixed["image"].float().mean() / 255 - share) < 0.5 / 255 + 1e-6
        shares.append(share)
    assert max(shares) - min(shares) > 0.4


def test_cutmix_leaves_both_images_as_they_were():
    white, black = (torch.full((3, 8, 8), value, dtype=torch.uint8) for value in (255, 0))
    random.seed(0)
    mixed, share = cutmix(white, black, 0.5)
    assert 0 < share < 1 and set(mixed.unique().tolist()) == {0, 255}
    assert white.min() == 255 and black.max() == 0


@pytest.mark.parametrize("share, expected", [(1.0, 200), (0.0, 100), (0.25, 125)])
def test_mixup_blends_in_proportion(share, expected):
    one, other = (torch.full((3, 2, 2), value, dtype=torch.uint8) for value in (200, 100))
    assert mixup(one, other, share)[0].unique().tolist() == [expected]


@pytest.mark.parametrize("field, value", [
    ("crop", (0.0, 1.0)), ("crop", (0.9, 0.5)), ("rotate", 200.0), ("color", -1.0), ("randaugment", (0, 9)),
    ("erasing", 2.0), ("mixup", -0.1), ("cutmix", -1.0),
])  # fmt: skip
def test_a_value_out_of_range_names_its_field(field, value):
    with pytest.raises(ValueError, match=f"^{field} "):
        Augment(**{field: value})


@pytest.mark.parametrize("field, value", [("image_size", 0), ("crop_fraction", 1.5), ("std", (0, 1, 1))])
def test_preprocessing_out_of_range_is_a_mistake_in_the_recipe(field, value):
    with pytest.raises(RecipeError, match=f"^{field}:"):
        Preprocessing(**{**vars(PREPROCESSING), field: value})
