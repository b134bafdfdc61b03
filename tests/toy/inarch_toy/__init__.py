"""A third party's plugin in miniature: vectors written as text. Found by its entry point, like anybody's."""

from typing import TYPE_CHECKING

from inarch import Candidate, Register, hookimpl

if TYPE_CHECKING:
    from torchmetrics import Metric

    from inarch import Backbone, Targets  # brings torch


def vectors(
    *,
    weights: str = "none",
    size: int = 4,
    width: int = 8,
    depth: int = 2,
    dropout: float = 0.0,
    norm: bool = False,
    noise: float = 0.0,
    mixup: bool = False,
    memory: int = 0,
) -> "Backbone":
    """Read `size` numbers written as text, through `depth` linear layers.

    noise: deviation of the noise added in training. memory: examples beyond which a batch is out of memory; 0 is none.
    """
    from inarch_toy.backbone import Vectors

    return Vectors(weights, size, width, depth, dropout, norm, noise, mixup, memory)


def letters(
    *,
    weights: str = "none",
    width: int = 8,
    prepared: bool = True,
    longest: int | None = None,
    tied: bool = False,
    window: int | None = None,
    scaled: bool = False,
    files: str | None = None,
) -> "Backbone":
    """Read text letter by letter.

    prepared: all at once, before training. longest: letters beyond which a text is cut; none: the longest of train.
    tied: the letter before has the embedding, too. scaled: features are scaled by fresh parameters.
    window: longer texts are seen through windows of so many letters, half in common with the next; not with `prepared`.
    """
    from inarch_toy.spelling import Letters

    return Letters(weights, width, prepared, longest, tied, window, scaled, files)


def starts(targets: "Targets") -> "Metric":
    """Return the share of examples of which all segments begin where they should."""
    from inarch_toy.metric import Starts

    return Starts()


def verify(raw: object) -> None:
    """Refuse what is not numbers, in each of several columns."""
    for text in raw.values() if isinstance(raw, dict) else [raw]:
        try:
            [float(part) for part in str(text).split()]
        except ValueError:
            raise ValueError(f"not numbers: {str(text)[:20]!r}") from None


def starter() -> dict[str, object]:
    """Return the recipe fragment that `inarch init --domain toy` writes."""
    return {"backbone": "vectors", "train": {"epochs": 2, "learning_rate": 0.01}}


def candidates() -> list[Candidate]:
    """Return what `inarch rank` knows by name: wide and narrow ones, of which somebody measured two."""
    return [
        Candidate("narrow", {"width": 2}, ("small", "thin"), -1.0, "made up"),
        Candidate("thin", {"width": 1}, ("thin",)),
        Candidate("wide", {"width": 32, "depth": 1}, ("small",), 1.0, "made up"),
    ]


@hookimpl
def register_backbones(register: Register) -> None:
    """Register both backbones."""
    register(
        "vectors",
        vectors,
        domain="vector",
        verify=verify,
        starter=starter,
        candidates=candidates,
        keeps=("size", "noise"),
    )
    register("letters", letters, domain="letters")


@hookimpl
def register_metrics(register: Register) -> None:
    """Register the metric on predictions."""
    register("starts", starts, kinds=("segments", "span"))
