"""How training images are varied. Light: imports no torch."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Augment:
    """Random changes to training images; the defaults suit small sets of photos."""

    crop: tuple[float, float] = (0.35, 1.0)
    """Smallest and largest share of the image's area that a random crop keeps, sides 3:4 to 4:3.
    ImageNet's 0.08 (Inception, arXiv 1409.4842) often loses the object; 0.35 is what fastai trains Imagenette with."""
    flip: Literal["none", "horizontal", "vertical", "both"] = "horizontal"
    """Mirror half of the images, left to right, top to bottom, or each independently. For text and digits: none."""
    rotate: float = 0.0
    """Rotate by up to so many degrees either way; the corners get the weights' mean colour."""
    color: float = 0.0
    """Change brightness, contrast and saturation by up to this factor: 0.2 is 0.8 to 1.2."""
    randaugment: tuple[int, int] | None = None
    """Number of operations and their magnitude, 0 to 30, of RandAugment (arXiv 1909.13719); [2, 9] is common."""
    erasing: float = 0.0
    """Probability of painting a random rectangle in the mean colour (random erasing, arXiv 1708.04896)."""
    mixup: float = 0.0
    """Alpha of mixup (arXiv 1710.09412), which blends two images; 0 is off, 0.2 mild, 0.8 strong."""
    cutmix: float = 0.0
    """Alpha of CutMix (arXiv 1905.04899), which pastes a rectangle of one image into another; 0 is off, 1 common.
    With mixup too, each example draws one of the two."""

    def __post_init__(self) -> None:
        if not 0 < self.crop[0] <= self.crop[1] <= 1:
            raise ValueError(f"crop must be two shares of the area, 0 < smallest <= largest <= 1, not {self.crop}")
        if not 0 <= self.rotate <= 180:
            raise ValueError(f"rotate must be 0 to 180 degrees, not {self.rotate}")
        for name in ("color", "erasing"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be 0 to 1, not {getattr(self, name)}")
        if self.randaugment and not (self.randaugment[0] >= 1 and 0 <= self.randaugment[1] <= 30):
            raise ValueError(f"randaugment must be [operations >= 1, magnitude 0 to 30], not {list(self.randaugment)}")
        for name in ("mixup", "cutmix"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 (off) or more, not {getattr(self, name)}")
