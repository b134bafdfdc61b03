"""What all audio models of transformers have in common, whatever they hear."""

from collections.abc import Sequence
from typing import Any

import transformers
from torch import Tensor

from inarch_audio.backbones import AudioBackbone
from inarch_audio.depth import by_depth
from inarch_audio.layer_weights import LayerWeights
from inarch_audio.pretrained import Source


class TransformersNetwork(AudioBackbone):
    """Beside what makes features of a batch: files of a bundle, layers, states of blocks."""

    model: Any
    layer_weights: LayerWeights | None
    source: Source

    before: Sequence[tuple[str, ...]]
    """Prefixes of parameters in front of the blocks, in groups from the input on."""
    blocks: str
    """Prefix of parameters of blocks, up to their number."""

    def files(self) -> dict[str, bytes]:
        """Return configuration and front end."""
        return self.source.files()

    def layers(self) -> list[list[str]]:
        """Return what is in front of the blocks, each block, and what follows, weights of layers too."""
        return by_depth((name for name, _ in self.named_parameters()), self.before, self.blocks)

    def gradient_checkpointing(self) -> None:
        """Compute activations again in the backward pass from now on."""
        # the first name is that of transformers 5.0, the second came later and will be the only one of 6
        old, new = "gradient_checkpointing_enable", "activation_checkpointing_enable"
        getattr(self.model, new if hasattr(self.model, new) else old)({"use_reentrant": False})

    def states(self, values: Tensor, **arguments: Any) -> list[Tensor]:
        """Return what enters the first block and what each says, (B, T, D) each; without layer weights, the last."""
        answer = self.model(values, output_hidden_states=self.layer_weights is not None, **arguments)
        if self.layer_weights is None:
            return [answer.last_hidden_state]
        return [*answer.hidden_states[:-1], answer.last_hidden_state]  # of the last block, after the final norm

    def describe(self) -> None:
        """Record what matters of the libraries."""
        self.facts = {"transformers": transformers.__version__, "revision": self.source.revision}
