"""Raw examples as tensors, plain files by the fast decoder."""

from typing import Any

import torch
from torch import Tensor
from torchvision.io import ImageReadMode, decode_image

from inarch_vision.images import is_plain, open_image, read_bytes, to_rgb


def decode(raw: Any) -> Tensor:
    """Return a raw example (see `images`) as RGB, uint8 (3, H, W); ValueError says why it cannot be read.

    Plain JPEG and PNG go through torchvision, which makes Pillow's pixels in less time; the rest goes through Pillow.
    """
    data = read_bytes(raw)
    image = open_image(raw if data is None else {"bytes": data})
    if data is not None and is_plain(image, data):
        try:
            encoded = torch.frombuffer(bytearray(data), dtype=torch.uint8)
            image_tensor: Tensor = decode_image(encoded, mode=ImageReadMode.RGB, apply_exif_orientation=True)
            return image_tensor
        except RuntimeError:
            pass  # broken, or an oddity: Pillow reads it, or says better what is wrong
    return torch.from_numpy(to_rgb(image)).permute(2, 0, 1)
