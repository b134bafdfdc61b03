"""Every odd kind of image becomes right RGB, and whatever is none says why."""

import io
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from inarch_vision.decoding import decode
from inarch_vision.images import is_plain, open_image, to_rgb, verify

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def encoded(image, format="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return {"bytes": buffer.getvalue(), "path": None}


def photo(width=96, height=64):
    """Smooth colours, which JPEG keeps well."""
    corners = np.random.default_rng(0).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return Image.fromarray(corners).resize((width, height), Image.Resampling.BICUBIC)


def pixels(raw):
    return decode(raw).permute(1, 2, 0).numpy().astype(int)


@pytest.mark.parametrize("options", [{"subsampling": 0}, {"subsampling": 2}, {"progressive": True}, {"quality": 30}])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_both_decoders_make_the_same_pixels_of_a_jpeg(mode, options):
    raw = encoded(photo(97, 61).convert(mode), "JPEG", **options)
    assert is_plain(open_image(raw), raw["bytes"])
    assert np.array_equal(pixels(raw), to_rgb(open_image(raw)))


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_both_decoders_make_the_same_pixels_of_a_png(mode):
    raw = encoded(photo().convert(mode))
    assert is_plain(open_image(raw), raw["bytes"])
    assert np.array_equal(pixels(raw), to_rgb(open_image(raw)))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_eight_exif_orientations_are_set_upright(orientation, format):
    stored = {  # how an upright image must be turned for a viewer that obeys the tag to turn it back
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    upright = photo()
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = upright if stored is None else upright.transpose(stored)
    found = pixels(encoded(turned, format, exif=exif))
    assert found.shape == (64, 96, 3)
    assert np.abs(found - np.asarray(upright)).mean() < 3  # JPEG and WebP lose a little


def test_a_cmyk_jpeg_is_converted():
    found = pixels(encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG"))
    assert np.abs(found - RED).max() < 6


def test_a_palette_with_transparency_lies_on_white():
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, *GREEN])
    image.putdata([0, 1])
    found = pixels(encoded(image, transparency=0))
    assert found.tolist() == [[list(WHITE), list(GREEN)]]


def test_a_grey_or_rgb_png_with_a_transparent_color_lies_on_white():
    image = Image.new("RGB", (2, 1), RED)
    image.putpixel((1, 0), BLUE)
    assert pixels(encoded(image, transparency=RED)).tolist() == [[list(WHITE), list(BLUE)]]


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_and_not_clipped(format):
    grey = np.array([[0, 257, 32768, 65535]], dtype=np.uint16)
    assert pixels(encoded(Image.fromarray(grey), format))[0, :, 0].tolist() == [0, 1, 128, 255]
    assert pixels(grey)[0, :, 2].tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize("mode, color, expected", [
    ("L", 77, (77, 77, 77)),
    ("LA", (0, 0), WHITE),
    ("RGBA", (255, 0, 0, 255), RED),
    ("RGBA", (255, 0, 0, 0), WHITE),
    ("RGBA", (0, 0, 0, 51), (204, 204, 204)),
    ("1", 1, WHITE),
])  # fmt: skip
def test_a_mode_becomes_rgb(mode, color, expected):
    image = Image.new(mode, (3, 2), color)
    for raw in (image, encoded(image)):
        assert pixels(raw).tolist() == [[list(expected)] * 3] * 2


def test_the_first_frame_of_an_animation_counts():
    frames = [Image.new("RGB", (4, 4), color) for color in (RED, BLUE)]
    assert pixels(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))[0, 0].tolist() == list(RED)


@pytest.mark.parametrize("format", ["WEBP", "BMP", "TIFF"])
def test_other_formats_are_read(format):
    options = {"lossless": True} if format == "WEBP" else {}
    assert np.array_equal(pixels(encoded(photo(), format, **options)), np.asarray(photo()))


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 3), (4, 5, 4)])
def test_arrays_are_read(shape):
    assert pixels(np.full(shape, 255, dtype=np.uint8)).tolist() == [[[255] * 3] * 5] * 4


def test_a_path_is_read(tmp_path):
    photo().save(tmp_path / "a.png")
    for raw in (tmp_path / "a.png", str(tmp_path / "a.png"), {"bytes": None, "path": str(tmp_path / "a.png")}):
        verify(raw)
        assert np.array_equal(pixels(raw), np.asarray(photo()))


@pytest.mark.parametrize(
    "content, reason", [(b"", "is empty"), (b"hello", "not an image"), (b"\xff\xd8\xff\xe0", "image")]
)
def test_a_file_that_is_no_image_says_so(tmp_path, content, reason):
    (tmp_path / "a.jpg").write_bytes(content)
    for read in (verify, decode):
        for raw in (tmp_path / "a.jpg", {"bytes": content}):
            with pytest.raises(ValueError, match=reason):
                read(raw)


@pytest.mark.parametrize("raw, reason", [
    ("missing.jpg", "no such file|cannot be read"),
    ({"bytes": None, "path": None}, "neither"),
    (None, "expected an image"),
    (np.zeros((2, 2), dtype=np.float32), "float32"),
    (np.zeros((2, 2, 7), dtype=np.uint8), "channels"),
])  # fmt: skip
def test_a_raw_example_that_is_no_image_says_so(raw, reason):
    for read in (verify, decode):
        with pytest.raises(ValueError, match=reason):
            read(raw)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF"])
def test_a_truncated_file_is_refused_when_decoded(format):
    whole = encoded(photo(), format)["bytes"]
    with pytest.raises(ValueError, match="readable"):
        decode({"bytes": whole[: len(whole) // 2]})


def test_32_bit_values_are_refused_for_their_range_is_unknown():
    with pytest.raises(ValueError, match="32-bit"):
        decode(Image.new("F", (2, 2), 0.5))


def test_a_decompression_bomb_is_refused_by_its_header(monkeypatch):
    raw = encoded(photo())
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # Pillow refuses twice as many
    for read in (verify, decode):
        with pytest.raises(ValueError, match="memory"):
            read(raw)


def test_verify_leaves_a_given_image_open_and_is_fast(tmp_path):
    image = photo()
    verify(image)
    assert image.getpixel((0, 0))
    photo(2000, 1500).save(tmp_path / "a.jpg")
    start = time.perf_counter()
    for _ in range(100):
        verify(tmp_path / "a.jpg")
    assert (time.perf_counter() - start) / 100 < 2e-3  # 0.05 ms here; the bound is for busy machines


def test_the_plugin_and_its_check_import_nothing_heavy(tmp_path):
    photo().save(tmp_path / "a.png")
    code = f"""
import sys, inarch_vision
assert not {{"PIL", "numpy"}} & sys.modules.keys()
inarch_vision.builders.verify({str(tmp_path / "a.png")!r})
inarch_vision.builders.starter()
assert not {{"torch", "timm", "torchvision"}} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})
