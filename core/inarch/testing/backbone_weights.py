"""The contract of a backbone's weights, as checks."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from inarch.errors import InarchError
from inarch.testing.backbone_case import BackboneCase
from inarch.testing.check import Checks, expect, skip

CHECKS = Checks()
FILE = Path("weights.safetensors")


@CHECKS.add("inarch.Backbone.load_weights")
def weights_are_loaded_strictly(case: BackboneCase) -> None:
    """A file of weights with a tensor too few, too many or of another shape is refused; nothing stays random."""
    backbone = case.build()
    state = {name: tensor.detach().clone().contiguous() for name, tensor in backbone.state_dict().items()}
    if "weights" not in case.options or not state or _refusal(case, state):
        skip("its option `weights` names no file with the names of its state")
    name = next(name for name, tensor in state.items() if tensor.ndim)
    least = {key: tensor for key, tensor in state.items() if key != name}
    wrong = {
        f"without '{name}'": least,
        f"with '{name}_too_many'": {**state, f"{name}_too_many": torch.ones(2)},
        f"with '{name}' of another shape": {**state, name: torch.ones(*(size + 1 for size in state[name].shape))},
    }
    for what, tensors in wrong.items():
        expect(_refusal(case, tensors), f"weights {what} are loaded without a word")


def _refusal(case: BackboneCase, state: Mapping[str, Tensor]) -> bool:
    """Say whether weights are refused."""
    save_file(dict(state), FILE)
    backbone = case.build(1, {**case.options, "weights": str(FILE.absolute())})
    try:
        backbone.load_weights()
    except InarchError:
        return True
    return False
