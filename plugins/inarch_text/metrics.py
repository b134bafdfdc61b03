"""What a recipe may write for metrics of segments and answers. Light: the libraries are imported when one is built."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from inarch import Targets, unknown

if TYPE_CHECKING:
    from torchmetrics import Metric


def entity_f1(targets: Targets, *, label: str | None = None) -> "Metric":
    """F1 of segments, micro: one is right if start, end and label are (as seqeval and conlleval count).

    label: count the segments of this label alone.
    """
    from inarch_text.metric_modules import EntityF1

    return EntityF1(targets.details["form"], targets.details.get("values", {}), label)


def verify_entities(targets: Targets, options: Mapping[str, Any]) -> None:
    """Raise ValueError if the targets are no segments, or none of them has the label."""
    if targets.details.get("plain"):
        raise ValueError("entity_f1 measures segments, but here every unit has a label of its own; use token_accuracy")
    if options["label"] is not None and options["label"] not in targets.classes:
        raise ValueError(f"label {unknown('label', options['label'], targets.classes)}")


def token_accuracy(targets: Targets) -> "Metric":
    """Share of units (words) with the right tag; tags of segments are compared as BIO, however they are written."""
    from inarch_text.metric_modules import TokenAccuracy

    return TokenAccuracy(bool(targets.details.get("plain")), targets.details.get("values", {}))


def verify_tags(targets: Targets, options: Mapping[str, Any]) -> None:
    """Raise ValueError if the targets are no tags, one for each unit."""
    if targets.details["form"] != "tags":
        raise ValueError("token_accuracy needs a tag for each unit, but the targets are segments; use entity_f1")


def exact_match(targets: Targets) -> "Metric":
    """Share of answers that are right but for case, punctuation and articles, as SQuAD counts (arXiv 1606.05250).

    Targets {start, end} have no text: there the place must be the same.
    """
    from inarch_text import metric_modules

    return metric_modules.ExactMatch() if targets.details["form"] == "squad" else metric_modules.ExactPlace()


def answer_f1(targets: Targets) -> "Metric":
    """Mean F1 of the words that answer and truth share, as SQuAD counts (arXiv 1606.05250).

    Targets {start, end} have no text: there it is that of the characters they share.
    """
    from inarch_text import metric_modules

    return metric_modules.AnswerF1() if targets.details["form"] == "squad" else metric_modules.PlaceF1()
