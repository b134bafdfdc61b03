"""The builder of the head that writes texts: light, its keyword parameters are what a recipe may write."""

from typing import TYPE_CHECKING, Annotated, Literal

from inarch.builtin.heads import Dropout, Width
from inarch.interfaces.dataset import Targets
from inarch.schema import Range

if TYPE_CHECKING:
    from inarch.interfaces.head import Head


def ctc(
    targets: Targets,
    num_features: int,
    *,
    vocabulary: Literal["characters"] | Annotated[int, Range(least=2)] = "characters",
    decoding: Literal["greedy", "beam"] = "greedy",
    beam_width: Annotated[int, Range(least=1)] = 10,
    hidden: Width | None = None,
    dropout: Dropout = 0.0,
) -> "Head":
    """Write a text (what is said, what is spelt) from units that are more than its letters: CTC, without alignment.

    Texts are learnt as the data writes them: case and punctuation too (Graves et al. 2006). The backbone must provide
    units, such as the frames of a recording.

    vocabulary: the characters of train, or this number of sub-words made of its texts by byte-pair
    encoding (arXiv 1508.07909).
    decoding: the `greedy` best path, or a `beam` search that sums the paths of a text (arXiv 1408.2873): slower.
    beam_width: prefixes that the beam search keeps.
    hidden, dropout: as for `classifier`.
    """
    from inarch.builtin.ctc import Ctc

    del vocabulary  # read with the targets
    return Ctc(targets, num_features, decoding, beam_width, hidden, dropout)
