"""Raw images to tensors, in loader workers. Pixels stay uint8 until the device: a quarter of the bytes to hand over.

Shapes: S is the side of the square image that the model sees.
"""

import random
from math import floor, sqrt
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional as F

from inarch_vision.augment import Augment
from inarch_vision.decoding import decode
from inarch_vision.preprocessing import Preprocessing


class Evaluation:
    """The pipeline that the weights expect: resize, then centre crop. What is served is this."""

    def __init__(self, preprocessing: Preprocessing) -> None:
        self.preprocessing = preprocessing

    def __call__(self, raw: Any) -> dict[str, Tensor]:
        """Return `image`, uint8 (3, S, S)."""
        wanted = self.preprocessing
        side = resized_side(wanted)
        size = [side, side] if wanted.crop_mode == "squash" else [side]
        image = F.resize(decode(raw), size, interpolation=InterpolationMode(wanted.interpolation), antialias=True)
        return {"image": F.center_crop(image, [wanted.image_size])}


def resized_side(preprocessing: Preprocessing) -> int:
    """Return the side, in pixels, that evaluation resizes to before the crop."""
    # rounded down, as timm does; the millionth undoes the error of a fraction like 224/248, which must give 248 again
    return floor(preprocessing.image_size / preprocessing.crop_fraction + 1e-6)


class Training:
    """A random crop and the random changes of `Augment`, drawn from torch's global generator."""

    def __init__(self, preprocessing: Preprocessing, augment: Augment) -> None:
        self.change = v2.Compose(list(_steps(preprocessing, augment)))

    def __call__(self, raw: Any) -> dict[str, Tensor]:
        """Return `image`, uint8 (3, S, S)."""
        return {"image": self.change(decode(raw))}


class MixedTraining(Training):
    """Training that also blends in another example, by mixup or CutMix."""

    def __init__(self, preprocessing: Preprocessing, augment: Augment) -> None:
        super().__init__(preprocessing, augment)
        ways = [(mixup, augment.mixup), (cutmix, augment.cutmix)]
        self.ways = [(way, alpha) for way, alpha in ways if alpha]

    def mix(self, example: dict[str, Tensor], partner: dict[str, Tensor]) -> tuple[dict[str, Tensor], float]:
        """Return the blend, and the share, 0 to 1, of the first example that is left in it."""
        way, alpha = random.choice(self.ways)
        image, share = way(example["image"], partner["image"], random.betavariate(alpha, alpha))
        return {"image": image}, share


def training_transform(preprocessing: Preprocessing, augment: Augment) -> Training:
    """Return the transform for training; it has `mix` only where mixup or CutMix is on."""
    kind = MixedTraining if augment.mixup or augment.cutmix else Training
    return kind(preprocessing, augment)


def mixup(image: Tensor, partner: Tensor, share: float) -> tuple[Tensor, float]:
    """Return `share` of `image` plus the rest of `partner`, rounded to uint8, and the share."""
    return torch.lerp(partner.float(), image.float(), share).round_().to(torch.uint8), share


def cutmix(image: Tensor, partner: Tensor, share: float) -> tuple[Tensor, float]:
    """Return `image` with a rectangle of `partner` in it, and the share of pixels that `image` truly keeps."""
    height, width = image.shape[-2:]
    middle, ratio = (random.randrange(height), random.randrange(width)), sqrt(1 - share)
    rows, columns = _span(middle[0], height, ratio), _span(middle[1], width, ratio)
    mixed = image.clone()
    mixed[:, rows, columns] = partner[:, rows, columns]
    pasted = (rows.stop - rows.start) * (columns.stop - columns.start)
    return mixed, 1 - pasted / (height * width)


def _span(middle: int, length: int, ratio: float) -> slice:
    half = round(length * ratio) // 2
    return slice(max(0, middle - half), min(length, middle + half))


def _steps(preprocessing: Preprocessing, augment: Augment) -> Any:
    """Yield the transforms that are on; all but the first see S x S pixels, so they are cheap."""
    size, fill = preprocessing.image_size, preprocessing.color
    yield v2.RandomResizedCrop(
        size, scale=augment.crop, interpolation=InterpolationMode(preprocessing.interpolation), antialias=True
    )
    if augment.flip in ("horizontal", "both"):
        yield v2.RandomHorizontalFlip()
    if augment.flip in ("vertical", "both"):
        yield v2.RandomVerticalFlip()
    if augment.rotate:
        yield v2.RandomRotation(augment.rotate, interpolation=InterpolationMode.BILINEAR, fill=fill)
    if augment.randaugment:
        operations, magnitude = augment.randaugment
        yield v2.RandAugment(operations, magnitude, fill=fill)
    if augment.color:
        yield v2.ColorJitter(augment.color, augment.color, augment.color)
    if augment.erasing:
        yield v2.RandomErasing(augment.erasing, value=fill)
