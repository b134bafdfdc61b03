"""The encoders and decoders of transformers as backbones. Shapes: B batch, T tokens, U units, D features."""

import inspect
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import tokenizers
import transformers
from torch import Tensor, nn
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
)

from inarch import Backbone, Features, RecipeError, absolute, quiet
from inarch_text import pretrained
from inarch_text.pooling import Pooling
from inarch_text.tokenized import Tokenized, collate
from inarch_text.tokenizing import Tokenizing, check_room

_DROPOUTS = (
    "dropout", "dropout_rate", "hidden_dropout", "hidden_dropout_prob", "attention_dropout", "activation_dropout",
    "attention_probs_dropout_prob", "embedding_dropout", "mlp_dropout", "embd_pdrop", "resid_pdrop", "attn_pdrop",
)  # fmt: skip
# What follows the blocks, by its name beside them. Case matters: DeBERTa's LayerNorm is of what all blocks share.
_AFTER = re.compile(r"(ln_f|norm|norm_f|layer_norm|final_\w*norm|project_out)\.")


class TextBackbone(Backbone):
    """A model of transformers. Provides `pooled`, `tokens`, special ones among them, and `units`."""

    domain = "text"
    provides = frozenset({"pooled", "tokens", "units"})

    def __init__(self, *, model: str, files: str | None, **options: Any) -> None:
        super().__init__()
        model, code = absolute(model), options["remote_code"] == "allow"
        with quiet():
            folder = Path(files) if files else pretrained.find(model, options["revision"], code)
            self._files = {path.name: path.read_bytes() for path in folder.glob("*.py")} if code else {}
            if code:
                pretrained.trust(self._files, model, bundle=files is not None)
            self.config = pretrained.read_config(folder, model, code)
            _adapt(self.config, options["dropout"])
            tokenizer, self._told = pretrained.read_tokenizer(folder, model, code)
            full = pretrained.make(self.config, model, code)
        self.model, self._kind = _text_part(full, model), type(full)
        _shorten(self.model, options["depth"], model)
        options["weights"] = absolute(options["weights"])
        options["pooling"] = _pooling(options["pooling"], self.config)
        self.num_features = self.config.get_text_config().hidden_size
        self.pooling = Pooling(options["pooling"], self.num_features)
        self.fresh = frozenset(f"pooling.{name}" for name, _ in self.pooling.named_parameters())
        self._pad, self._notes = _padding(self._told, self.config)
        self._types = getattr(self.config, "type_vocab_size", 0) > 1 and _takes(self.model, "token_type_ids")
        positions = _positions(self.config, self.model)
        check_room(tokenizer, options["max_tokens"], positions)
        tokenizing = {name: options[name] for name in ("max_tokens", "truncate", "template", "pair", "units")}
        self.tokenizing = Tokenizing(
            tokenizer, longest=positions or self._told["longest"], types=self._types, **tokenizing
        )
        self._blocks = f"model.{_find_blocks(self.model)}."
        commit = folder.name if folder.parent.name == "snapshots" else None  # where the hub's client keeps its copies
        self.resolved = {"model": model, **options, "revision": commit or options["revision"]}
        self.facts = {
            "transformers": transformers.__version__,
            "tokenizers": tokenizers.__version__,
            "revision": self.resolved["revision"],
            "remote_code": options["remote_code"],
        }

    def load_weights(self) -> None:
        """Load the weights that the options name, less heads and, of encoder-decoders, the decoder."""
        model, address = self.resolved["model"], self.resolved["weights"]
        if address == "none":
            return
        if address == "pretrained":
            code = self.resolved["remote_code"] == "allow"
            folder = pretrained.find(model, self.resolved["revision"], code, weights=True)
            state = pretrained.read_state_of(folder, model)
        else:
            state = pretrained.read_safetensors(address)
        loaded = pretrained.load(self._kind, self.config, state, model if address == "pretrained" else address)
        loaded = _text_part(loaded, model)
        _shorten(loaded, self.resolved["depth"], model)
        self.model.load_state_dict(loaded.state_dict())

    def transform(self, training: bool) -> Tokenizing:
        """Return the tokenizer with what surrounds it; text is not varied in training."""
        return self.tokenizing

    def prepare(self, raws: Sequence[Any]) -> Tokenized:
        """Return the examples of `raws`, tokenized at once; `auto` and `pair` are settled by the first call."""
        prepared = self.tokenizing.prepare(raws)
        settled = {"max_tokens": self.tokenizing.max_tokens, "pair": self.tokenizing.pair}
        self.resolved = {**self.resolved, **settled}
        prepared.notes += self._notes
        self._notes = []  # said once
        return prepared

    def length(self, example: Mapping[str, Tensor]) -> int:
        """Return the number of tokens, special ones included."""
        return len(example["input_ids"])

    def part(self, raw: Any, start: float, end: float) -> dict[str, Any]:
        """Return the `text` from character `start` to `end`; of a pair, of the last text."""
        return {"text": self.tokenizing.text(raw)[int(start) : int(end)]}

    def files(self) -> dict[str, bytes]:
        """Return configuration and vocabulary, and the code that a model brought where the recipe allows it."""
        config = json.loads(self.config.to_json_string(use_diff=False))
        return {
            **self._files,
            "config.json": json.dumps({**config, "_name_or_path": self.resolved["model"]}, indent=1).encode(),
            "tokenizer.json": self.tokenizing.tokenizer.to_str().encode(),
            "tokens.json": json.dumps(self._told).encode(),
        }

    def collate(self, examples: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Pad to the longest example of the batch, on the right."""
        return collate(examples, self._pad, self._types)

    def forward(self, **batch: Tensor) -> Features:
        """Return features of `input_ids` and `attention_mask` (B, T); `units` (B, U) and `places` (B, U, 2) pass by."""
        given = {name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids") if name in batch}
        tokens = self.model(**given).last_hidden_state
        mask = batch["attention_mask"].bool()
        return Features(
            pooled=self.pooling(tokens, mask),
            tokens=tokens,
            mask=mask,
            units=batch.get("units"),
            places=batch.get("places"),
        )

    def layers(self) -> list[list[str]]:
        """Return embeddings with what all blocks share, each block, and with the last what follows, the pooling too.

        By prefix, for strategies may add parameters inside blocks. Blocks that share parameters (ALBERT) are one.
        """
        first, last, blocks = [], [], dict[int, list[str]]()
        beside = self._blocks.rsplit(".", 2)[0] + "."
        for name, _ in self.named_parameters():
            if name.startswith(self._blocks):
                blocks.setdefault(int(name.removeprefix(self._blocks).split(".")[0]), []).append(name)
            else:
                after = name.startswith("pooling.") or _AFTER.match(name.removeprefix(beside))
                (last if after else first).append(name)
        return [layer for layer in (first, *(blocks[number] for number in sorted(blocks)), last) if layer]

    def gradient_checkpointing(self) -> None:
        """Compute activations again in the backward pass from now on."""
        # the first name is that of transformers 5.0, the second came later and will be the only one of 6
        old, new = "gradient_checkpointing_enable", "activation_checkpointing_enable"
        try:
            getattr(self.model, new if hasattr(self.model, new) else old)({"use_reentrant": False})
        except ValueError:
            raise RecipeError(f"{self.resolved['model']} has no gradient checkpointing") from None


def _adapt(config: Any, dropout: float | None) -> None:
    """Set the dropout, and that nothing is kept for a next token, for none is generated."""
    if hasattr(config, "use_cache"):
        config.use_cache = False
    for name in _DROPOUTS if dropout is not None else ():
        if hasattr(config, name):
            setattr(config, name, dropout)


def _text_part(full: Any, model: str) -> Any:
    """Return a model without its pooler, which nothing would train; of an encoder-decoder the encoder."""
    part = full.get_encoder() if full.config.is_encoder_decoder else full
    if not _takes(part, "input_ids") or not hasattr(part.config.get_text_config(), "hidden_size"):
        raise RecipeError(f"{model} is a model of type {full.config.model_type}, which reads no text")
    if "add_pooling_layer" in inspect.signature(type(part).__init__).parameters:
        part.pooler = None
    return part


def _shorten(network: nn.Module, depth: int | None, model: str) -> None:
    """Keep the first blocks alone."""
    if depth is None:
        return
    blocks = cast(nn.ModuleList, network.get_submodule(_find_blocks(network)))
    wanted = cast(Any, network).config.get_text_config().num_hidden_layers
    if len(blocks) < min(2, wanted):
        raise RecipeError(f"backbone.depth: the blocks of {model} share their weights; leave it out")
    if depth > len(blocks):
        raise RecipeError(f"backbone.depth: {model} has {len(blocks)} blocks, found {depth}")
    del blocks[depth:]


def _takes(network: nn.Module, argument: str) -> bool:
    return argument in inspect.signature(network.forward).parameters


def _pooling(wanted: str | None, config: Any) -> str:
    """Return the way of pooling. A decoder is what transformers opens to continue texts, but not to fill gaps."""
    code = getattr(config, "auto_map", None) or {}
    continues = config.model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES or "AutoModelForCausalLM" in code
    fills = config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES or "AutoModelForMaskedLM" in code
    decoder = continues and not fills and not config.is_encoder_decoder
    if decoder and wanted == "cls":
        raise RecipeError(
            f"backbone.pooling: the first token of a decoder ({config.model_type}) sees no other; take last"
        )
    return wanted or ("last" if decoder else "mean")


def _padding(told: Mapping[str, Any], config: Any) -> tuple[int, list[str]]:
    """Return the id that pads, and a note if the tokenizer has none; the mask hides it, so any would do."""
    if told["pad"] is not None and told["pad"] < config.get_text_config().vocab_size:
        return told["pad"], []
    pad = told["eos"] if told["eos"] is not None else 0
    return pad, [f"the tokenizer has no pad token; the end token (id {pad}) pads, masked out"]


def _positions(config: Any, network: nn.Module) -> int | None:
    """Return how many tokens the model has positions for; None: they are relative, so any number."""
    positions = getattr(config.get_text_config(), "max_position_embeddings", None)
    if positions is None or positions < 1 or not getattr(config, "position_biased_input", True):  # DeBERTa
        return None
    # RoBERTa and its like count positions from the number of the padding token on
    tables = [getattr(module, "position_embeddings", None) for module in network.modules()]
    unused = [table.padding_idx + 1 for table in tables if getattr(table, "padding_idx", None) is not None]
    return int(positions - max(unused, default=0))


def _find_blocks(network: nn.Module) -> str:
    """Name the list of blocks: the one that holds most parameters, of those inside each other the outermost."""
    sizes = {
        name: sum(parameter.numel() for parameter in module.parameters())
        for name, module in network.named_modules()
        if isinstance(module, nn.ModuleList)
    }
    return max(sizes, key=sizes.__getitem__, default="")
