"""What the targets of the head `span` mean: places of answers, read and checked before torch is imported."""

from collections.abc import Mapping
from typing import Any

from inarch.builtin.stretches import Stretch, read_rows, read_stretch, read_train, refuse_outside
from inarch.interfaces.dataset import Dataset, Targets


def read_answers(dataset: Dataset) -> Targets:
    """Read, for each example, the places of its answers in the last input column; the first one is trained on.

    SQuAD's {text: [...], answer_start: [...]}, or a list of {start, end}, or one such mapping.
    """
    first = next(iter(read_train(dataset)), None)
    form = ("squad" if "answer_start" in first else "segment") if isinstance(first, Mapping) else "segments"
    counts = {split: [len(read_rows(dataset, split, dataset.inputs[-1], _checked_answers))] for split in dataset.splits}
    return Targets("span", (), counts, {"form": form})


def find_answers(raw: Any) -> list[Stretch]:
    """Return the answers of a raw target, or raise ValueError."""
    if isinstance(raw, Mapping) and "answer_start" in raw:
        items: Any = _from_squad(raw.get("text"), raw["answer_start"])
    else:
        items = [raw] if isinstance(raw, Mapping) else raw
    if not isinstance(items, list) or not items:
        raise ValueError(
            f"expected an answer, {{text: [...], answer_start: [...]}} or {{start, end}}, found {raw!r}; "
            "every example needs one that lies in its input"
        )
    return [read_stretch({**item, "label": item.get("label") or ""} if isinstance(item, Mapping) else item)
            for item in items]  # fmt: skip


def _from_squad(texts: Any, starts: Any) -> list[dict[str, int]]:
    if not (_is_list(texts, str) and _is_list(starts, int) and len(texts) == len(starts)):
        raise ValueError(f"expected as many 'text' as 'answer_start', found {texts!r} and {starts!r}")
    return [{"start": start, "end": start + len(text)} for text, start in zip(texts, starts, strict=True)]


def _is_list(value: Any, kind: type) -> bool:
    return isinstance(value, list) and all(isinstance(item, kind) for item in value)


def _checked_answers(target: Any, raw: Any) -> list[Stretch]:
    found = find_answers(target)
    refuse_outside(found, raw)
    if isinstance(raw, str) and "answer_start" in target:
        for text, (start, end, _) in zip(target["text"], found, strict=True):
            if raw[int(start) : int(end)] != text:
                raise ValueError(f"the answer {text!r} is not at {start}: {raw[int(start) : int(end)]!r} is")
    return found
