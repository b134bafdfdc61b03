"""Which precision `auto` is."""

import pytest
import torch

from inarch.training import linear
from inarch.training.hardware import choose_precision

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("amx", "avx512_bf16", "amd", "expected"),
    [
        (True, True, False, "bf16"),
        (False, True, True, "bf16"),
        (False, True, False, "fp32"),  # an Intel Xeon whose AMX is hidden: bf16 is slower there
        (False, False, True, "fp32"),
    ],
)
def test_auto_is_bf16_where_the_processor_is_faster_in_it(
    amx: bool, avx512_bf16: bool, amd: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512_bf16)
    monkeypatch.setattr(linear, "is_amd", lambda: amd)
    assert choose_precision(CPU, "auto") == expected


@pytest.mark.parametrize("wanted", ["fp32", "bf16"])
def test_what_the_recipe_says_is_what_is_used(wanted: str) -> None:
    assert choose_precision(CPU, wanted) == wanted
