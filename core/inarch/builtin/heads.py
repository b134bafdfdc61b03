"""Builders of the core's heads: light functions whose keyword parameters are what a recipe may write."""

from typing import TYPE_CHECKING, Annotated, Literal

from inarch.interfaces.dataset import Targets
from inarch.schema import Range

if TYPE_CHECKING:
    from inarch.interfaces.head import Head

Pooling = Literal["pooled", "mean", "max"]
Share = Annotated[float, Range(least=0, most=1)]
Dropout = Annotated[float, Range(least=0, below=1)]
Width = Annotated[int, Range(least=1)]
ClassWeights = Literal["none", "balanced"] | dict[str, Annotated[float, Range(least=0)]]


def classifier(
    targets: Targets,
    num_features: int,
    *,
    label_smoothing: Share = 0.0,
    class_weights: ClassWeights = "none",
    hidden: Width | None = None,
    dropout: Dropout = 0.0,
    pooling: Pooling = "pooled",
) -> "Head":
    """Choose one class per example: a linear layer, softmax and cross-entropy.

    label_smoothing: share of the target spread over all classes, 0 to 1 (arXiv 1512.00567).
    class_weights: weight of each class in the loss; `balanced` is n / (classes x n of the class), as in scikit-learn.
    hidden: width of a hidden layer with GELU; none: a linear layer alone.
    dropout: share of features dropped before the last layer.
    pooling: the backbone's own `pooled`, or the `mean` or `max` over its tokens.
    """
    from inarch.builtin.head_modules import Classifier

    return Classifier(targets, num_features, label_smoothing, class_weights, hidden, dropout, pooling)


def multilabel(
    targets: Targets,
    num_features: int,
    *,
    label_smoothing: Share = 0.0,
    class_weights: ClassWeights = "none",
    threshold: Share = 0.5,
    hidden: Width | None = None,
    dropout: Dropout = 0.0,
    pooling: Pooling = "pooled",
) -> "Head":
    """Say yes or no to each label: a linear layer, sigmoid and binary cross-entropy.

    label_smoothing: moves targets from 0 and 1 towards 0.5 by this share.
    class_weights: weight of a label's positive examples; `balanced` is negatives over positives in train.
    threshold: the probability from which a label is predicted.
    hidden, dropout, pooling: as for `classifier`.
    """
    from inarch.builtin.head_modules import Multilabel

    return Multilabel(targets, num_features, label_smoothing, class_weights, threshold, hidden, dropout, pooling)


def regressor(
    targets: Targets,
    num_features: int,
    *,
    loss: Literal["mse", "mae", "huber"] = "mse",
    hidden: Width | None = None,
    dropout: Dropout = 0.0,
    pooling: Pooling = "pooled",
) -> "Head":
    """Predict a number: a linear layer on targets that are standardised by the mean and deviation of train.

    loss: on the standardised targets: squared error, absolute error, or Huber's with delta 1.
    hidden, dropout, pooling: as for `classifier`.
    """
    from inarch.builtin.head_modules import Regressor

    return Regressor(targets, num_features, loss, hidden, dropout, pooling)


def knn(
    targets: Targets,
    num_features: int,
    *,
    k: Literal["auto"] | Annotated[int, Range(least=1)] = "auto",
    pooling: Pooling = "pooled",
) -> "Head":
    """Choose the class of the nearest examples of train: no training, and a first answer to what features are worth.

    Nearest by the cosine of features; each votes with exp(cosine / 0.07) (arXiv 1805.01978). The bundle keeps the
    features of all of train. Wants strategy: linear_probe, whose features it remembers.
    k: how many vote; auto: of 1, 5, 10 and 20 the one that gets most of train right when each example is left out.
    pooling: as for `classifier`.
    """
    from inarch.builtin.neighbours import Neighbours

    return Neighbours(targets, num_features, k, pooling)


def embedder(
    targets: Targets,
    num_features: int,
    *,
    loss: Literal["cosine", "contrastive", "additive_margin"] = "cosine",
    margin: Annotated[float, Range(above=0, most=2)] | None = None,
    scale: Annotated[float, Range(above=0)] = 30.0,
    dimensions: Width | None = None,
    dropout: Dropout = 0.0,
    pooling: Pooling = "pooled",
) -> "Head":
    """Compare: how alike two inputs are, classes from a few examples of each, or who is who (verification).

    Two input columns and a number: the cosine of the two embeddings, 0 at the least number of train, 1 at the most.
    One input and classes: in each epoch every example meets one partner, of its own class or not, and a classifier on
    the embedding is learnt beside. That is SetFit (arXiv 2209.11055) with n pairs an epoch instead of n(n - 1) / 2.
    One input and `loss: additive_margin`: verification. The targets are identities, speakers for example, and those of
    valid and test may be others than train's. Predictions are embeddings of length 1, and the likeliest of train's
    identities with its cosine; two inputs are compared by the sum of the products of their embeddings, the cosine:

        inarch predict runs/x/model a.wav b.wav --json > two.jsonl
        a, b = (json.loads(line)["embedding"] for line in open("two.jsonl"))
        same = sum(x * y for x, y in zip(a, b)) > threshold

    loss: of a pair: squared error of the cosine, or the `contrastive` one (Hadsell et al. 2006) of pairs alike or not;
    or `additive_margin`: softmax over the cosines to all identities of train, the true one's less a margin
    (arXiv 1801.05599).
    margin: `contrastive`: the distance, 1 - cosine, beyond which pairs that are not alike rest; none: 0.5.
    `additive_margin`: what the true identity's cosine must exceed the others by; none: 0.2 (as for speakers in Zhou et
    al., Dynamic margin softmax loss for speaker verification, Interspeech 2020).
    scale: of `additive_margin`: what cosines are multiplied by before the softmax.
    dimensions: width of the embedding, by a linear projection; none: the backbone's own.
    dropout, pooling: as for `classifier`.
    """
    shape = (num_features, dimensions, dropout, pooling)
    if targets.kind == "identities":
        from inarch.builtin.verification import Verification

        return Verification(targets, scale, 0.2 if margin is None else margin, *shape)

    from inarch.builtin.embedder import FewShot, Similarity

    kind = Similarity if targets.details["mode"] == "pairs" else FewShot
    return kind(targets, loss, 0.5 if margin is None else margin, *shape)


def tagger(
    targets: Targets,
    num_features: int,
    *,
    scheme: Literal["bio", "bioes", "units"] = "bio",
    repair: Literal["begin", "error"] = "begin",
    label_smoothing: Share = 0.0,
    class_weights: ClassWeights = "none",
    hidden: Width | None = None,
    dropout: Dropout = 0.0,
) -> "Head":
    """Choose one tag per unit (word, frame) and read segments from the tags: names, chunks, parts of speech, events.

    Units that were cut off are in no segment. The backbone must provide units.

    scheme: of the tags that are learnt, whichever the data has: `bio` (a segment begins with B, goes on with I),
    `bioes` (and ends with E; S is one unit alone), or `units`: each has a tag of its own, as in parts of speech.
    repair: an I that follows no B or I of its label begins a segment, as for conlleval, and is counted; or is an error.
    label_smoothing: as for `classifier`, over the tags.
    class_weights: weight of a label's tags in the loss, O for no label; `balanced` is segments / (labels x segments of
    the label) in train.
    hidden, dropout: as for `classifier`.
    """
    from inarch.builtin.tagger import Tagger

    del repair  # read by the verification of targets
    return Tagger(targets, num_features, scheme, label_smoothing, class_weights, hidden, dropout)


def span(
    targets: Targets,
    num_features: int,
    *,
    longest: Annotated[int, Range(least=1)] = 30,
    hidden: Width | None = None,
    dropout: Dropout = 0.0,
) -> "Head":
    """Find the one stretch of an input that answers: where it starts and where it ends, each among all units.

    longest: units that an answer may have; 30 words as in BERT's code for SQuAD (arXiv 1810.04805).
    hidden, dropout: as for `classifier`.
    """
    from inarch.builtin.span import Span

    return Span(targets, num_features, longest, hidden, dropout)


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
