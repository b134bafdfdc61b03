"""Raw examples as right 8-bit RGB, whatever the file holds. Pillow and numpy only; imports no torch.

A raw example is the path of a file, a mapping with `bytes` or `path` (as Hugging Face `datasets` hands out undecoded
images), a PIL image, or an array (H, W) or (H, W, channels). What is no image is a ValueError that says why.

Rules: EXIF orientation is applied; 16 bits are scaled to 8, never clipped; transparency is laid over white, as browsers
show it; the first frame stands for an animation; colour profiles are not applied, as in the training of the weights.
"""

import io
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

_PNG_BIT_DEPTH = 24  # its offset: signature (8), IHDR's length and name (8), width and height (8)


def verify(raw: Any) -> None:
    """Check the header of a raw example: is it there, and is it an image?"""
    image = open_image(raw)
    if image is not raw:  # the caller's own image stays open
        image.close()


def open_image(raw: Any) -> Image.Image:
    """Open a raw example; of a file only the header is read."""
    if isinstance(raw, Image.Image):
        return raw
    if isinstance(raw, np.ndarray):
        return _from_array(raw)
    source = _source(raw)
    try:
        return Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)
    except FileNotFoundError:
        raise ValueError("there is no such file") from None
    except UnidentifiedImageError:
        raise ValueError(_why_unidentified(source)) from None
    except Image.DecompressionBombError as error:
        raise ValueError(f"refused before decoding it, for it would fill the memory: {error}") from None
    except Exception as error:  # decoders raise anything on hostile bytes
        raise ValueError(f"not a readable image: {error}") from error


def read_bytes(raw: Any) -> bytes | None:
    """Return the encoded image of a raw example, or None if it is decoded already."""
    if isinstance(raw, Image.Image | np.ndarray):
        return None
    source = _source(raw)
    try:
        return source if isinstance(source, bytes) else source.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None


def is_plain(image: Image.Image, data: bytes) -> bool:
    """Whether any decoder makes the same pixels of it: 8-bit grey or RGB, as JPEG or opaque PNG."""
    if image.mode not in ("L", "RGB"):
        return False
    if image.format == "PNG":
        return data[_PNG_BIT_DEPTH] == 8 and "transparency" not in image.info
    return image.format in ("JPEG", "MPO")  # MPO: what phones write, JPEGs in a row of which the first counts


def to_rgb(image: Image.Image) -> np.ndarray:
    """Decode an opened image to uint8 (H, W, 3)."""
    try:
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I;16"):
            image = Image.fromarray(_eight_bits(np.asarray(image)))
        elif image.mode in ("I", "F"):
            raise ValueError("holds 32-bit values, whose range is not known; convert it to 8 or 16 bits")
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        return np.array(image.convert("RGB"))
    except Exception as error:  # decoders raise anything on hostile bytes
        raise ValueError(f"not a readable image: {error}") from error


def _source(raw: Any) -> bytes | Path:
    if isinstance(raw, Mapping):
        data, path = raw.get("bytes"), raw.get("path")
        if data is not None:
            return bytes(data)
        if path is None:
            raise ValueError("has neither bytes nor a path")
        return _file(Path(path))
    if isinstance(raw, str | Path) and str(raw):
        return _file(Path(raw))
    raise ValueError(f"expected an image or the path of one, found {raw!r}")


def _file(path: Path) -> Path:
    """Refuse a pipe or a device, which would be waited for; what else cannot be read, whoever opens it says."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return path
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise ValueError("is a pipe, a socket or a device, not a file")
    return path


def _why_unidentified(source: bytes | Path) -> str:
    empty = not source if isinstance(source, bytes) else source.stat().st_size == 0
    return "is empty" if empty else "not an image in any format that Pillow reads, or its header is broken"


def _from_array(array: np.ndarray) -> Image.Image:
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    elif array.dtype == np.uint16:
        array = _eight_bits(array)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    readable = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (2, 3, 4))
    if array.dtype != np.uint8 or not readable or not array.size:
        raise ValueError(
            f"expected (H, W) or (H, W, channels) of uint8, uint16 or bool, found {array.shape} of {array.dtype}"
        )
    return Image.fromarray(array)


def _eight_bits(array: np.ndarray) -> np.ndarray:
    """Scale 0..65535 to 0..255, rounding: 65535 = 255 * 257."""
    return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
