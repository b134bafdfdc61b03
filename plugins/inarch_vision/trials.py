"""What the plugin's backbones can be tried with: tiny models with random weights, and images of every kind."""

import io
from functools import cache
from typing import Any

from inarch import Trial


@cache
def images() -> list[Any]:
    """Return images as unlike as files are: RGB, grey, turned, 16 bits, transparent, CMYK, one pixel wide, large."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (90, 70, 3), dtype=np.uint8)
    photo = Image.fromarray(noise).resize((140, 90))
    turned = Image.Exif()
    turned[0x0112] = 6  # lies on its right side
    palette = photo.convert("P")
    return [
        noise,
        random.integers(0, 256, (40, 64), dtype=np.uint8),
        random.integers(0, 65536, (33, 50), dtype=np.uint16),
        {"bytes": _encoded(photo, "JPEG"), "path": None},
        {"bytes": _encoded(photo, "JPEG", exif=turned), "path": None},
        {"bytes": _encoded(palette, "PNG", transparency=0), "path": None},
        {"bytes": _encoded(photo.convert("CMYK"), "JPEG"), "path": None},
        {"bytes": _encoded(photo.resize((1, 90)), "PNG"), "path": None},
        photo.resize((700, 500)),
    ]


def timm() -> list[Trial]:
    """Return a convolutional network with batch norm, also with its maps, and a transformer."""
    small = {"weights": "none", "image_size": 32}
    return [
        _trial("resnet", model="test_resnet", drop_path=0.1, **small),
        _trial("maps", model="test_efficientnet", maps=True, augment={"mixup": 0.2, "cutmix": 1.0}, **small),
        _trial("transformer", model="test_vit", crop_mode="squash", **small),
    ]


def torchvision() -> Trial:
    """Return a network with batch norm, and all kinds of random changes."""
    varied = {"flip": "both", "rotate": 10, "color": 0.2, "erasing": 0.5, "randaugment": [2, 9]}
    return _trial("", model="shufflenet_v2_x0_5", weights="none", image_size=32, augment=varied)


def _trial(name: str, **options: Any) -> Trial:
    refused = [{"bytes": b"\xff\xd8\xff\xe0 no more", "path": None}, "/nowhere/image.png", {"path": None}]
    return Trial(name=name, options=options, inputs=images(), refused=refused)


def _encoded(image: Any, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
