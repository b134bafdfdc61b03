"""Checks of a backbone's layers: what freezing, layer-wise rates and adapters rest on."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from inarch.errors import InarchError, PluginError, listing
from inarch.interfaces.backbone import Backbone, Batch, Features
from inarch.interfaces.head import Head
from inarch.model import Model, check_layers
from inarch.testing.backbone_case import BackboneCase, difference, filled
from inarch.testing.check import Checks, expect, skip

CHECKS = Checks()


class _Probe(Head):
    """Makes one number of everything that a backbone provides, as different for each value as can be."""

    needs = frozenset()

    def encode(self, targets: Sequence[Any]) -> Tensor:
        return torch.zeros(len(targets))

    def forward(self, features: Features) -> Tensor:
        """Return outputs (1,)."""
        total = torch.zeros(())
        for name, value in filled(features).items():
            for tensor in value if name == "maps" else [value]:
                if tensor.is_floating_point() and name != "places":
                    real = tensor if name != "tokens" or features.mask is None else tensor[features.mask]
                    weights = torch.linspace(-1, 1.5, real.numel()).cos().view(real.shape)
                    total = total + (real * weights).sum() / real.numel() ** 0.5
        return total[None]

    def loss(self, outputs: Any, targets: Tensor) -> tuple[Tensor, Tensor]:
        return outputs.sum(), torch.ones(())

    def predict(self, outputs: Any) -> list[dict[str, Any]]:
        return [{} for _ in outputs]


def _batch(case: BackboneCase, backbone: Backbone) -> Batch:
    return backbone.collate(case.examples(backbone))


def _backward(model: Model, batch: Batch) -> None:
    model(batch).sum().backward()


@CHECKS.add("inarch.Backbone.layers")
def layers_partition_the_parameters(case: BackboneCase) -> None:
    """`layers()` names every parameter exactly once, in layers that are not empty."""
    backbone = case.build()
    try:
        layers = check_layers(backbone)
    except PluginError as error:
        expect(False, str(error))
    expect(layers and all(layers), f"of {len(layers)} layers, {sum(not layer for layer in layers)} are empty")


@CHECKS.add("inarch.Backbone.layers")
def layers_go_from_input_to_output(case: BackboneCase) -> None:
    """The layers come in the order in which `forward` uses them."""
    backbone, examples = case.ready()
    used: dict[str, int] = {}
    for path, module in backbone.named_modules():
        if not any(True for _ in module.children()):
            module.register_forward_pre_hook(partial(_note, used, path))
    with torch.no_grad():
        backbone(**backbone.collate(examples))
    firsts = [
        (min(found), number)
        for number, layer in enumerate(backbone.layers(), 1)
        if (found := [used[path] for name in layer if (path := name.rpartition(".")[0]) in used])
    ]
    for (_, number), (_, later) in zip(sorted(firsts), firsts, strict=True):
        expect(number == later, f"layer {number} of `layers()` is used before layer {later}, and listed after it")


def _note(used: dict[str, int], path: str, *_: Any) -> None:
    used.setdefault(path, len(used))


@CHECKS.add("inarch.Backbone.forward")
def every_parameter_gets_a_gradient(case: BackboneCase) -> None:
    """Every parameter takes part in what `forward` returns: processes that train together wait for all gradients."""
    backbone = case.build().eval()  # training may leave out layers, at random
    _backward(Model(backbone, _Probe()), _batch(case, backbone))
    missing = [name for name, parameter in backbone.named_parameters() if parameter.grad is None]
    expect(not missing, f"no gradient for {len(missing)} parameters: {listing(missing, 5)}")
    broken = [name for name, parameter in backbone.named_parameters() if not parameter.grad.isfinite().all()]  # type: ignore[union-attr]
    expect(not broken, f"gradients that are not finite: {listing(broken, 5)}")


@CHECKS.add("inarch.Backbone.layers")
def frozen_layers_do_not_change(case: BackboneCase) -> None:
    """A step of training leaves the parameters and buffers of frozen layers as they are, and changes the others."""
    for share in (0.0, 0.5, 1.0):
        backbone = case.build()
        model = Model(backbone, _Probe())
        count = len(check_layers(backbone))
        frozen = max(1, int(share * count))
        kept = {name: tensor.clone() for name, tensor in model.freeze(range(frozen)).items()}
        before = {name: tensor.detach().clone() for name, tensor in backbone.state_dict().items()}
        model.train()
        _step(model, _batch(case, backbone))
        after = backbone.state_dict()
        drifted = [name for name in kept if not torch.equal(kept[name], after[name])]
        told = f"with {frozen} of {count} layers frozen, a step of training"
        expect(not drifted, f"{told} changed {len(drifted)} tensors of theirs: {listing(drifted, 5)}")
        free = [name for name, parameter in backbone.named_parameters() if parameter.requires_grad]
        changed = any(not torch.equal(before[name], after[name]) for name in free)
        expect(changed or not free, f"{told} changed none of the other layers")


def _step(model: Model, batch: Batch) -> None:
    output = model(batch).sum()
    if output.requires_grad:
        output.backward()
        for parameter in model.parameters():
            if parameter.requires_grad and parameter.grad is not None:
                parameter.data -= 0.1 * parameter.grad


@CHECKS.add("inarch.Strategy.adapt")
def layers_name_what_is_inserted(case: BackboneCase) -> None:
    """`layers()` names parameters too that a strategy inserts later, for adapters are trained by it."""
    backbone = case.build()
    linear = [module for module in backbone.modules() if type(module) in (nn.Linear, nn.Conv1d, nn.Conv2d)]
    if not linear:
        skip("no linear or convolutional layer, into which adapters are inserted")
    for module in (linear[0], linear[-1]):
        module.register_parameter("inserted", nn.Parameter(torch.zeros(1)))
    try:
        check_layers(backbone)
    except PluginError as error:
        expect(False, f"with a parameter 'inserted' in two of its modules: {error}")


@CHECKS.add("inarch.Backbone.fresh")
def fresh_parameters_exist(case: BackboneCase) -> None:
    """`fresh` is a frozenset of names of parameters."""
    backbone = case.build()
    expect(isinstance(backbone.fresh, frozenset), f"fresh is a {type(backbone.fresh).__name__}")
    others = sorted(backbone.fresh - {name for name, _ in backbone.named_parameters()})
    expect(not others, f"fresh names what is no parameter: {listing(others, 5)}")


@CHECKS.add("inarch.Backbone.gradient_checkpointing")
def gradient_checkpointing_changes_no_gradient(case: BackboneCase) -> None:
    """Where activations can be computed again in the backward pass, features and gradients stay the same."""
    answers = []
    for checkpointing in (False, True):
        backbone = case.build()
        if checkpointing:
            try:
                backbone.gradient_checkpointing()
            except (NotImplementedError, InarchError) as error:
                skip(f"it has no gradient checkpointing: {str(error) or 'not implemented'}")
        model = Model(backbone, _Probe()).train()
        batch = _batch(case, backbone)
        torch.manual_seed(1)
        _backward(model, batch)
        answers.append({name: p.grad for name, p in backbone.named_parameters() if p.grad is not None})
    found = difference(answers[0], answers[1])
    expect(not found, f"the gradient with and without gradient checkpointing: {found}")


@CHECKS.add("inarch.Backbone.synchronise_norms")
def synchronised_norms_keep_their_names(case: BackboneCase) -> None:
    """`synchronise_norms` changes neither the names nor the values of the state."""
    backbone = case.build()
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    backbone.synchronise_norms()
    found = difference(before, backbone.state_dict(), tolerance=0)
    expect(not found, f"the state before and after: {found}")
