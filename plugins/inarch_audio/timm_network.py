"""An image model of timm that sees one channel, high and wide as it comes: bands of frequency, frames of time.

Shapes: B batch, D features, F frames, K bands, T columns of the last map.
"""

import math
from collections.abc import Mapping
from itertools import chain
from typing import Any

import timm
import torch
from timm.layers import convert_sync_batchnorm
from timm.models import group_parameters
from torch import Tensor, nn
from torch.func import functional_call

from inarch import RecipeError, WeightsError, load_strictly, read_state, unknown


class TimmNetwork(nn.Module):
    """The model without its classification layer, with random weights."""

    model: Any

    def __init__(self, name: str, weights: str, drop_path: float, bands: int, frames: int) -> None:
        super().__init__()
        config = _config(name, weights)
        self.name = name
        self._classifier = (config.classifier,) if isinstance(config.classifier, str) else config.classifier or ()
        self._arguments: dict[str, Any] = {"model_name": name, "in_chans": 1, "num_classes": 0}
        with torch.device("meta"):
            layout: Any = timm.create_model(**self._arguments)
        self.stride = int(layout.feature_info[-1]["reduction"])
        self.size = (bands, frames)
        if config.fixed_input_size:  # position embeddings and windows are made to measure
            self.size = _whole_patches(name, bands, frames, self.stride)
            self._arguments["img_size"] = self.size
        self.model = _create(self._arguments, drop_path)
        pooled, columns = self._probe()
        if columns is None or columns.shape[1] * self.stride < frames:  # it drops frames that fill no column
            self.size = (bands, -(-frames // self.stride) * self.stride)
            pooled, columns = self._probe()
        self.num_features, self.columns = pooled.shape[1], 0 if columns is None else columns.shape[1]

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return pooled features (B, D) of an image (B, 1, K, F) of `size`, and the columns (B, T, D) of its last map.

        A column is the mean over the map's height. Models that have no map as wide as D have None.
        """
        last = self.model.forward_features(image.contiguous(memory_format=torch.channels_last))
        pooled = self.model.forward_head(last, pre_logits=True)
        return pooled, self._columns(last, pooled.shape[1]) if isinstance(last, Tensor) else None

    def load(self, address: str) -> None:
        """Load weights, `pretrained` or an address, strictly; timm itself adapts those of images.

        It sums the three channels of the first convolution and resizes embeddings of positions.
        """
        changes: dict[str, Any] = {} if address == "pretrained" else {"pretrained_cfg_overlay": self._overlay(address)}
        try:  # a second model: timm converts only while it builds one
            state = timm.create_model(**self._arguments, **changes, pretrained=True).state_dict()
        except Exception as error:  # the hub's client raises anything
            if address != "pretrained":
                raise WeightsError(f"{address}: the weights do not fit {self.name}: {error}") from error
            raise WeightsError(
                f"the pretrained weights of {self.name} could not be downloaded ({type(error).__name__}: {error}). "
                "Without a network, let weights be the path of a file, or package:DISTRIBUTION/FILE of an installed "
                "package, with the names of timm."
            ) from error
        load_strictly(self.model, state, f"{self.name}: {address}")

    def layers(self) -> list[list[str]]:
        """Return timm's own grouping by depth, as its layer-wise learning rates use it: stem, blocks, last norm."""
        if not hasattr(self.model, "group_matcher"):
            return [[name for name, _ in self.named_parameters()]]
        groups = group_parameters(self.model, self.model.group_matcher(coarse=False)).values()
        return [[f"model.{name}" for name in names] for names in groups]

    def gradient_checkpointing(self) -> None:
        """Compute activations again in the backward pass from now on."""
        try:
            self.model.set_grad_checkpointing(True)
        except (AssertionError, AttributeError):
            raise RecipeError(f"{self.name} of timm has no gradient checkpointing") from None

    def synchronise_norms(self) -> None:
        """Have batch norms, with timm's activation or without, normalise by the statistics of all processes."""
        self.model = convert_sync_batchnorm(self.model)

    def _overlay(self, address: str) -> dict[str, Any]:
        """Return what makes timm take a file's weights for its own; without classes it compares all their names."""
        prefixes = tuple(f"{name}." for name in self._classifier)
        state = {name: tensor for name, tensor in read_state(address).items() if not name.startswith(prefixes)}
        return {"state_dict": state, "num_classes": 0, "label_offset": 0, "source": "timm", "custom_load": False}

    def _columns(self, last: Tensor, width: int) -> Tensor | None:
        """Return (B, T, D), or None if the last map is not one of frequency and time with D channels."""
        high, wide = (size / self.stride for size in self.size)
        if last.ndim == 3:  # class and register tokens, then rows of patches
            patches = last[:, getattr(self.model, "num_prefix_tokens", 0) :]
            if patches.shape[1:] != (high * wide, width):
                return None
            rows: Tensor = patches.reshape(len(last), int(high), int(wide), width)
            return rows.mean(1)
        if last.ndim != 4:
            return None
        if getattr(self.model, "output_fmt", "NCHW") != "NHWC":
            last = last.permute(0, 2, 3, 1)
        fits = last.shape[3] == width and last.shape[2] in (math.floor(wide), math.ceil(wide))
        return last.mean(1) if fits else None

    def _probe(self) -> tuple[Tensor, Tensor | None]:
        """Return what an empty image makes, for its shapes: a forward pass on the meta device costs nothing."""
        state = {name: tensor.to("meta") for name, tensor in chain(self.named_parameters(), self.named_buffers())}
        self.eval()  # batch norm needs more than one value in training
        try:
            found: tuple[Tensor, Tensor | None] = functional_call(
                self, state, torch.empty(1, 1, *self.size, device="meta")
            )
            return found
        except (AssertionError, RuntimeError, ValueError):
            return self._probe_on_cpu()  # a few models hold tensors that are neither parameters nor buffers
        finally:
            self.train()

    @torch.no_grad()
    def _probe_on_cpu(self) -> tuple[Tensor, Tensor | None]:
        try:
            return self.forward(torch.zeros(1, 1, *self.size))
        except (AssertionError, RuntimeError, ValueError) as error:
            bands, frames = self.size
            raise RecipeError(
                f"{self.name} makes no features of {bands} bands x {frames} frames; change n_mels, hop or duration "
                f"({error})"
            ) from error


def _config(name: str, weights: str) -> Any:
    """Return what timm records of a model; a name that it has not is a RecipeError, weights that it has not another."""
    if not timm.is_model(name):
        raise RecipeError(unknown("model of timm", name, timm.list_models()))
    try:
        config = timm.get_pretrained_cfg(name)
    except RuntimeError:  # the part after the dot names the weights
        raise RecipeError(unknown("weights of timm", name, timm.list_pretrained(f"{name.split('.')[0]}.*"))) from None
    if weights == "pretrained" and not (config and config.has_weights):
        raise WeightsError(f"timm has no pretrained weights for {name}: write weights: none, or the path of a file")
    return config


def _whole_patches(name: str, bands: int, frames: int, side: int) -> tuple[int, int]:
    """Return the size with frames enough for the last patch."""
    if bands % side:
        raise RecipeError(f"n_mels: expected a multiple of {side}, the side of the patches of {name}; found {bands}")
    return bands, -(-frames // side) * side


def _create(arguments: Mapping[str, Any], drop_path: float) -> nn.Module:
    try:  # even 0 is told: some models of timm have a drop path by default
        return timm.create_model(**arguments, drop_path_rate=drop_path)
    except TypeError as error:
        if "drop_path_rate" not in str(error):
            raise
        if drop_path:
            raise RecipeError(f"drop_path: {arguments['model_name']} of timm has none; leave it out") from None
        return timm.create_model(**arguments)
