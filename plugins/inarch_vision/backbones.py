"""The models of timm and torchvision as backbones.

Shapes: B batch, D features, S side of the image, T tokens, H W height and width.
"""

import re
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict
from itertools import chain
from typing import Any, cast

import timm
import torch
import torchvision.models
from timm.layers import convert_sync_batchnorm
from timm.models import group_parameters
from torch import Tensor, nn
from torch.func import functional_call
from torchvision.ops import StochasticDepth

from inarch import Backbone, Features, RecipeError, WeightsError, load_strictly, read_state, unknown
from inarch_vision.augment import Augment
from inarch_vision.preprocessing import Preprocessing, of_timm, of_torchvision, timm_config
from inarch_vision.transforms import Evaluation, training_transform
from inarch_vision.weights import to_timm, to_torchvision, without_classifier

_MAPS = 4  # strides 4, 8, 16, 32 of most convolutional models


class ImageBackbone(Backbone):
    """What the two libraries have in common. A batch is `image`, uint8 or float 0..255, (B, 3, S, S)."""

    domain = "image"
    model: Any
    """The library's model without its classification layer."""
    classifier: tuple[str, ...]
    """The classification layers, which are left out of `model`."""
    mean: Tensor
    std: Tensor

    def __init__(
        self, options: Mapping[str, Any], preprocessing: Preprocessing, augment: Augment, model: nn.Module
    ) -> None:
        super().__init__()
        self.resolved = {**options, **asdict(preprocessing), "augment": augment}
        self.preprocessing, self.augment, self.model = preprocessing, augment, model
        for name in ("mean", "std"):  # not saved: `resolved` says them
            channels = 255 * torch.tensor(getattr(preprocessing, name)).view(3, 1, 1)
            self.register_buffer(name, channels, persistent=False)
        features = self._probe()
        self.provides = frozenset(name for name in features._fields if getattr(features, name) is not None) - {"mask"}
        self.num_features = cast(Tensor, features.pooled).shape[1]

    def transform(self, training: bool) -> Callable[[Any], dict[str, Tensor]]:
        """Return the pipeline: what the weights expect, or with `training` random changes of it."""
        return training_transform(self.preprocessing, self.augment) if training else Evaluation(self.preprocessing)

    def load_weights(self) -> None:
        """Load the weights that the options name, less their classification layer."""
        address = self.resolved["weights"]
        if address == "none":
            return
        state = self._read()
        load_strictly(self.model, without_classifier(state, self.classifier), f"{self.resolved['model']}: {address}")

    def source_classifier(self) -> tuple[Tensor, Tensor] | None:
        """Return the classification layer that the file of weights holds, where it is linear in the features."""
        if self.resolved["weights"] == "none" or len(self.classifier) != 1:
            return None
        state = self._read()
        weight, bias = (state.get(f"{self.classifier[0]}.{name}") for name in ("weight", "bias"))
        if weight is None or bias is None or weight.ndim != 2 or weight.shape[1] != self.num_features:
            return None
        return weight.float(), bias.float()

    def _read(self) -> Mapping[str, Tensor]:
        address = self.resolved["weights"]
        return self._download() if address == "pretrained" else self._translate(read_state(address))

    def _pixels(self, image: Tensor) -> Tensor:
        """Return normalised pixels. Channels last: convolutions are up to twice as fast, on CPU too."""
        pixels = (image.to(self.mean.dtype) - self.mean) / self.std
        return pixels.contiguous(memory_format=torch.channels_last)

    def _probe(self) -> Features:
        """Return features without data, for their shapes: a forward pass on the meta device costs nothing."""
        size = self.preprocessing.image_size
        state = {name: tensor.to("meta") for name, tensor in chain(self.named_parameters(), self.named_buffers())}
        self.eval()  # batch norm needs more than one value in training
        try:
            image = torch.empty(1, 3, size, size, device="meta")
            return cast(Features, functional_call(self, state, kwargs={"image": image}))
        except (AssertionError, RuntimeError, ValueError):
            return self._probe_on_cpu(size)  # a few models hold tensors that are neither parameters nor buffers
        finally:
            self.train()

    @torch.no_grad()
    def _probe_on_cpu(self, size: int) -> Features:
        try:
            return self.forward(image=torch.zeros(1, 3, size, size))
        except (AssertionError, RuntimeError, ValueError) as error:
            model = self.resolved["model"]
            raise RecipeError(
                f"{model} makes no features of {size} x {size} pixels with these options: {error}"
            ) from error

    def _translate(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return a file's state under the names of `model`."""
        return dict(state)

    @abstractmethod
    def _download(self) -> Mapping[str, Tensor]:
        """Return the state of the library's own pretrained model, classification layer included."""


class TimmBackbone(ImageBackbone):
    """A model of timm. Provides `pooled`, of transformers and mixers `tokens` too, and with the option `maps`, `maps`.

    `tokens` are all that the model has, class and register tokens included, in its own order; `mask` is all True.
    """

    def __init__(
        self, *, model: str, weights: str, maps: bool, drop_path: float, augment: Augment, **wanted: Any
    ) -> None:
        config = timm_config(model, weights)
        preprocessing = of_timm(model, config, wanted)
        self._arguments: dict[str, Any] = {"model_name": model}
        if config.fixed_input_size:  # position embeddings and windows are made to measure
            self._arguments["img_size"] = preprocessing.image_size
        self._maps = maps
        names = config.classifier or ()
        self.classifier = (names,) if isinstance(names, str) else tuple(names)
        options = {"model": model, "weights": weights, "maps": maps, "drop_path": drop_path}
        super().__init__(options, preprocessing, augment, _create(self._arguments, drop_path))

    def forward(self, **batch: Tensor) -> Features:
        """Return `pooled` (B, D), where there are tokens `tokens` (B, T, D), on request four `maps`, finest first."""
        pixels, maps = self._pixels(batch["image"]), None
        if self._maps:
            last, maps = self.model.forward_intermediates(pixels, indices=_MAPS, output_fmt="NCHW")
        else:
            last = self.model.forward_features(pixels)
        pooled = self.model.forward_head(last, pre_logits=True)
        if not isinstance(last, Tensor) or last.ndim != 3 or last.shape[2] != pooled.shape[1]:
            return Features(pooled=pooled, maps=maps and tuple(maps))
        mask = torch.ones(last.shape[:2], dtype=torch.bool, device=last.device)
        return Features(pooled=pooled, tokens=last, mask=mask, maps=maps and tuple(maps))

    def layers(self) -> list[list[str]]:
        """Return timm's own grouping by depth, as its layer-wise learning rates use it: stem, blocks, last norm."""
        if hasattr(self.model, "group_matcher"):
            groups = group_parameters(self.model, self.model.group_matcher(coarse=False)).values()
            return [[f"model.{name}" for name in names] for names in groups]
        return _grouped(self.model, re.compile(r"stages\.\d+|[^.]+"))

    def gradient_checkpointing(self) -> None:
        """Compute activations again in the backward pass from now on."""
        try:
            self.model.set_grad_checkpointing(True)
        except (AssertionError, AttributeError):
            raise RecipeError(f"{self.resolved['model']} of timm has no gradient checkpointing") from None

    def synchronise_norms(self) -> None:
        """Have batch norms, with timm's activation or without, normalise by the statistics of all processes."""
        self.model = convert_sync_batchnorm(self.model)

    def _translate(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return to_timm(state, self.resolved["model"], list(self.model.state_dict()))

    def _download(self) -> Mapping[str, Tensor]:
        try:  # a second model: timm resizes position embeddings and renames old keys only while it builds one
            return timm.create_model(**self._arguments, pretrained=True).state_dict()
        except Exception as error:  # the hub's client raises anything
            raise _unreachable(self.resolved["model"], error) from error


class TorchvisionBackbone(ImageBackbone):
    """A classification model of torchvision; the last linear or convolutional layer is left out. Provides `pooled`."""

    # What counts as one layer: a child of these containers, else a child of the model.
    _LAYER = re.compile(r"(?:(?:features|classifier|blocks|layers|trunk_output|encoder\.layers)\.)?[^.]+")
    _STEM = ("class_token", "conv_proj", "encoder.pos_embedding", "conv1", "bn1")

    def __init__(self, *, model: str, weights: str, drop_path: float, augment: Augment, **wanted: Any) -> None:
        names = torchvision.models.list_models(module=torchvision.models, exclude=("googlenet", "inception_v3"))
        if model not in names:  # the two excluded train with auxiliary classifiers; timm's inception_v3 does not
            raise RecipeError(unknown("model of torchvision", model, names))
        self._weights = torchvision.models.get_model_weights(model).DEFAULT
        preprocessing = of_torchvision(self._weights, wanted)
        network = torchvision.models.get_model(model)
        _set_drop_path(network, drop_path, model)
        self.classifier = (_last_layer(network),)
        network.set_submodule(self.classifier[0], nn.Identity())
        super().__init__({"model": model, "weights": weights, "drop_path": drop_path}, preprocessing, augment, network)

    def forward(self, **batch: Tensor) -> Features:
        """Return `pooled` (B, D)."""
        return Features(pooled=self.model(self._pixels(batch["image"])).flatten(1))

    def layers(self) -> list[list[str]]:
        """Return stem and stages of resnets and their like; of others the children of `features` or of the encoder."""
        return _grouped(self.model, self._LAYER, self._STEM)

    def _translate(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return to_torchvision(state)

    def _download(self) -> Mapping[str, Tensor]:
        try:
            return to_torchvision(self._weights.get_state_dict(progress=False, check_hash=True, weights_only=True))
        except OSError as error:
            raise _unreachable(self.resolved["model"], error) from error


def _create(arguments: Mapping[str, Any], drop_path: float) -> nn.Module:
    try:  # even 0 is told: some models of timm have a drop path by default
        return timm.create_model(**arguments, num_classes=0, drop_path_rate=drop_path)
    except TypeError as error:
        if "drop_path_rate" not in str(error):
            raise
        if drop_path:
            raise RecipeError(f"drop_path: {arguments['model_name']} of timm has none; leave it out") from None
        return timm.create_model(**arguments, num_classes=0)


def _set_drop_path(network: nn.Module, drop_path: float, model: str) -> None:
    """Scale torchvision's own rates, which rise with depth, so that the last is `drop_path`."""
    branches = [module for module in network.modules() if isinstance(module, StochasticDepth)]
    if drop_path and not branches:
        raise RecipeError(f"drop_path: {model} of torchvision has none; leave it out")
    last = max((branch.p for branch in branches), default=0.0)
    for branch in branches:
        branch.p *= drop_path / last


def _grouped(model: nn.Module, layer: re.Pattern[str], stem: tuple[str, ...] = ()) -> list[list[str]]:
    """Group parameters, in their order, by the part of their names that `layer` matches."""
    groups: dict[str, list[str]] = {}
    for name, _ in model.named_parameters():
        match = None if name.startswith(stem) else layer.match(name)
        groups.setdefault(match[0] if match else "stem", []).append(f"model.{name}")
    return list(groups.values())


def _last_layer(network: nn.Module) -> str:
    """Name the classification layer: the last linear or convolutional one."""
    names: list[str] = [name for name, module in network.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    return names[-1]


def _unreachable(model: str, error: Exception) -> WeightsError:
    return WeightsError(
        f"the pretrained weights of {model} could not be downloaded ({type(error).__name__}: {error}). "
        "Without a network, let weights be the path of a file, or package:DISTRIBUTION/FILE of an installed package."
    )
