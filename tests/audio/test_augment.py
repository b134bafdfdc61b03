"""Options of augmentation out of range name themselves."""

from math import inf, nan

import pytest

from inarch_audio.augment import Augment


@pytest.mark.parametrize("field, value", [
    ("gain", -1.0), ("gain", inf), ("gain", nan), ("shift", -0.1), ("mixup", -0.2), ("speed", (0.0, 1.0)),
    ("speed", (1.1, 0.9)), ("speed", (0.9, 3.0)), ("snr", (20.0, 5.0)), ("snr", (-inf, 5.0)), ("snr", (nan, nan)),
    ("noise_probability", 1.5), ("time_masks", (0, 0.1)), ("time_masks", (2, 0.0)), ("frequency_masks", (2, 1.1)),
])  # fmt: skip
def test_a_value_out_of_range_names_its_field(field, value):
    with pytest.raises(ValueError, match=f"^{field} must be"):
        Augment(**{field: value})


@pytest.mark.parametrize("field, value", [
    ("gain", 6.0), ("shift", 0.1), ("mixup", 0.2), ("speed", (0.9, 1.1)), ("snr", (-5.0, -5.0)), ("snr", (0.0, 20.0)),
    ("noise_probability", 0.0), ("time_masks", (2, 0.1)), ("frequency_masks", (1, 1.0)), ("noise", "rain"),
])  # fmt: skip
def test_a_value_in_range_is_kept(field, value):
    assert getattr(Augment(**{field: value}), field) == value
