"""PatchTST as a backbone. Shapes: B batch, C channels, D features, L steps of context, P patches of a channel."""

from collections.abc import Callable
from typing import Any

import torch
import transformers
from inarch import Backbone, Features, RecipeError, load_strictly, quiet, read_state
from torch import Tensor
from transformers import PatchTSTConfig, PatchTSTModel

from inarch_timeseries.windows import read_window


class Patches(Backbone):
    """Patches of each channel are its tokens: (B, C * P, D), one channel's after the other's. `pooled` is their mean.

    `scale` (B, C, 2) is each window's last value and deviation; a window that never changes is divided by 1. The last
    value (NLinear, arXiv 2205.13504) rather than the mean: what follows is near it.
    """

    domain = "timeseries"
    provides = frozenset({"pooled", "tokens", "scale"})

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.resolved, self.context, self.num_features = options, options["context"], options["width"]
        if options["patch"] >= self.context:
            raise RecipeError(f"backbone.patch: expected fewer steps than context, found {options['patch']}")
        if options["width"] % options["attention_heads"]:
            raise RecipeError(f"backbone.width: expected a multiple of {options['attention_heads']} attention_heads")
        config = PatchTSTConfig(
            context_length=self.context, patch_length=options["patch"], patch_stride=options["stride"],
            d_model=options["width"], ffn_dim=2 * options["width"], num_hidden_layers=options["depth"],
            num_attention_heads=options["attention_heads"], ff_dropout=options["dropout"],
            attention_dropout=options["dropout"], norm_type="layernorm", scaling=None, do_mask_input=False,
        )  # fmt: skip
        with quiet():
            self.model = PatchTSTModel(config)
        _keep_positions(self.model.encoder.positional_encoder)
        self.facts = {"transformers": transformers.__version__}

    def load_weights(self) -> None:
        """Load the weights of a file with this module's own names; inarch loads those of a run."""
        if self.resolved["weights"] != "none":
            load_strictly(self, read_state(self.resolved["weights"]), self.resolved["weights"])

    def transform(self, training: bool) -> Callable[[Any], dict[str, Tensor]]:
        """Return what makes `window` (L, C) of the last L steps of a window."""
        return Window(self.context)

    def forward(self, **batch: Tensor) -> Features:
        """Return features of `window` (B, L, C)."""
        window = batch["window"]
        level, spread = window[:, -1:], window.std(1, keepdim=True, correction=0)
        spread = torch.where(spread > 1e-6 * level.abs().clamp_min(1e-6), spread, 1.0)
        channels = ((window - level) / spread).transpose(1, 2).flatten(0, 1)  # (B * C, L): none sees another
        encoded = self.model(channels[..., None]).last_hidden_state  # (B * C, 1, P, D)
        tokens = encoded.unflatten(0, (len(window), -1)).flatten(1, 3)
        mask = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
        scale = torch.stack([level[:, 0], spread[:, 0]], -1)
        return Features(pooled=tokens.mean(1), tokens=tokens, mask=mask, scale=scale)

    def layers(self) -> list[list[str]]:
        """Return the embedding of patches, then each layer of the encoder."""
        names = [name for name, _ in self.named_parameters()]
        blocks = [f"model.encoder.layers.{number}." for number in range(self.resolved["depth"])]
        first = [name for name in names if not name.startswith(tuple(blocks))]
        return [layer for layer in (first, *([n for n in names if n.startswith(block)] for block in blocks)) if layer]


def _keep_positions(encoder: Any) -> None:
    """Make a buffer of the sines and cosines of positions: as a parameter, strategies would train them."""
    positions = encoder.position_enc.detach()
    del encoder.position_enc
    encoder.register_buffer("position_enc", positions)


class Window:
    """A raw window to a tensor."""

    def __init__(self, context: int) -> None:
        self.context = context

    def __call__(self, raw: Any) -> dict[str, Tensor]:
        """Return `window` (L, C), the last steps; a shorter one is refused."""
        steps = read_window(raw)
        if len(steps) < self.context:
            raise ValueError(f"expected {self.context} steps or more, found {len(steps)}")
        return {"window": torch.tensor(steps[-self.context :], dtype=torch.float32)}
