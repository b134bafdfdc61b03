"""Low-rank adapters in any backbone, through peft. W stays as it was; beside W x goes (alpha / rank) B A x.

LoRA: arXiv 2106.09685. A begins random, from torch's global generator, and B zero: before training nothing changes.
"""

import inspect
import re
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Literal

import peft
from peft.tuners.lora import LoraLayer
from torch import nn

from inarch.errors import RecipeError, unknown
from inarch.interfaces.backbone import Backbone

Targets = Literal["auto"] | Sequence[str]


def insert(backbone: Backbone, rank: int, alpha: float, dropout: float, targets: Targets) -> None:
    """Give each target layer its adapter; names of parameters inside such a layer change."""
    chosen = choose(backbone, targets)
    options = peft.LoraConfig(
        r=rank,
        lora_alpha=alpha,  # type: ignore[arg-type] # peft says int, and divides it by the rank
        lora_dropout=dropout,
        target_modules="|".join(re.escape(f"backbone.{name}") for name in chosen),
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "fan_in_fan_out is set")  # peft sees which way a layer's weights lie
        # inside another module, for peft rewrites the targets of some models whose `config` it sees
        peft.inject_adapter_in_model(options, nn.ModuleDict({"backbone": backbone}))


def merge(backbone: Backbone) -> None:
    """Add each adapter's product B A to its layer's weights, and put the layer back in its place."""
    for name, module in list(backbone.named_modules()):
        if isinstance(module, LoraLayer):
            module.merge()
            backbone.set_submodule(name, module.get_base_layer())


def choose(backbone: Backbone, targets: Targets) -> list[str]:
    """Return the names of the layers to adapt: all linear ones or all convolutions, whichever are more, or a list.

    An entry of a list is a name, the last parts of names, or a regular expression for whole names, as in peft.
    """
    linear, convolutions = _adaptable(backbone)
    if targets == "auto":
        if not linear and not convolutions:
            raise RecipeError(
                "strategy: lora finds no linear layer and no convolution in this backbone that an adapter fits; "
                "use full or linear_probe"
            )
        return max(linear, convolutions, key=len)
    if not targets:
        raise RecipeError(
            "strategy.targets: an empty list adapts nothing; leave it out, or write strategy: linear_probe"
        )
    known = linear + convolutions
    found = {target: [name for name in known if _matches(name, target)] for target in targets}
    for target, names in found.items():
        if not names:
            shortest = dict.fromkeys(name.rpartition(".")[2] for name in known)
            raise RecipeError(f"strategy.targets: {unknown('layer', target, [*shortest, *known])}")
    return sorted({name for names in found.values() for name in names})


def _matches(name: str, target: str) -> bool:
    try:
        return f".{name}".endswith(f".{target}") or re.fullmatch(target, name) is not None
    except re.error as error:
        raise RecipeError(f"strategy.targets: '{target}' is not a regular expression: {error}") from None


def _adaptable(backbone: Backbone) -> tuple[list[str], list[str]]:
    """Return the names of the linear layers and of the convolutions that an adapter fits."""
    linear, convolutions = [], []
    for name, module in backbone.named_modules():
        parent, _, child = name.rpartition(".")
        if hasattr(module, "parametrizations") or _reads_weight(backbone.get_submodule(parent).forward, child):
            continue
        if _is_linear(module):
            linear.append(name)
        elif _is_plain_convolution(module):
            convolutions.append(name)
    return linear, convolutions


def _is_linear(module: nn.Module) -> bool:
    """Say whether a module is a linear layer, or GPT-2's, whose weights lie the other way; with no forward of its own.

    A subclass with its own forward may use its weights otherwise, and then merging would change what it computes.
    """
    kind = type(module)
    gpt2s = (kind.__module__, kind.__name__) == ("transformers.pytorch_utils", "Conv1D")
    return gpt2s or kind.forward is nn.Linear.forward


def _is_plain_convolution(module: nn.Module) -> bool:
    """Say whether a module is a convolution, with torch's forward, whose kernel and its adapter's make one kernel."""
    if not isinstance(module, nn.Conv1d | nn.Conv2d):
        return False
    own_forward = type(module).forward not in (nn.Conv1d.forward, nn.Conv2d.forward)
    return not own_forward and module.groups == 1 and set(module.dilation) == {1} and module.padding_mode == "zeros"


def _reads_weight(forward: Callable[..., Any], child: str) -> bool:
    """Say whether a module's forward reads the weights of its child itself, and so goes around the child's adapter.

    Those of torch's attention and encoder layer do, of torchvision's Swin, of timm's BEiT. peft's own adapter for
    torch's attention is no way out: it adds to the frozen weights and takes away again, and rounding makes them drift.
    """
    return re.search(rf"\bself\.{re.escape(child)}\.weight\b(?!\.)", _source(inspect.unwrap(forward))) is not None


@cache
def _source(function: Callable[..., Any]) -> str:
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):  # compiled, or made while running
        return ""
