"""What the core's own components are tried with by `inarch.testing`. Light: imports no torch."""

from inarch.interfaces.trial import Trial

_WORDS = ["ada", "met", "bo", "in", "rome", "and", "cy", "in", "lima", "today"]
_TAGS = ["B-who", "O", "B-who", "O", "B-place", "O", "B-who", "O", "B-place", "O"]
_SEGMENTS = [
    [{"start": 0, "end": 3, "label": "speech"}, {"start": 5, "end": 9, "label": "music"}],
    [],
    [{"start": 2, "end": 4, "label": "music"}],
]


def tagger() -> list[Trial]:
    """Tags of words that say where names are, tags that stand for themselves, and stretches of sounds."""
    cuts = [slice(0, 10), slice(2, 8), slice(4, 10), slice(0, 3)]
    inputs = [_WORDS[cut] for cut in cuts]
    plain = [["name" if tag != "O" else "word" for tag in _TAGS[cut]] for cut in cuts]
    return [
        Trial(name="tags", inputs=inputs, truths=[_TAGS[cut] for cut in cuts]),
        Trial(name="bioes", options={"scheme": "bioes"}, inputs=inputs, truths=[_TAGS[cut] for cut in cuts]),
        Trial(name="units", options={"scheme": "units", "hidden": 8}, inputs=inputs, truths=plain),
        Trial(name="segments", options={"class_weights": "balanced", "dropout": 0.1}, truths=_SEGMENTS),
    ]


def span() -> list[Trial]:
    """Answers as SQuAD has them, and places alone."""
    text = " ".join(_WORDS[:5])
    answers = [{"text": [word], "answer_start": [text.index(word)]} for word in ("ada", "bo", "rome")]
    places = [[{"start": 0, "end": 2}], {"start": 3, "end": 7}, [{"start": 8, "end": 9}, {"start": 1, "end": 2}]]
    return [
        Trial(name="squad", inputs=[text] * 3, truths=answers),
        Trial(name="places", options={"longest": 5, "dropout": 0.1}, truths=places),
    ]


def ctc() -> list[Trial]:
    """Texts of letters, with one that is empty, and of pieces."""
    texts = ["seven", "noon", "", "on seven", "even"]
    return [
        Trial(name="letters", truths=texts),
        Trial(name="pieces", options={"vocabulary": 10, "decoding": "beam", "beam_width": 3}, truths=texts),
    ]


def classifier() -> list[Trial]:
    """Every way of pooling, and every option that the loss reads."""
    return [
        Trial(name="plain"),
        Trial(name="all options", options={"label_smoothing": 0.1, "class_weights": "balanced", "hidden": 8,
                                           "dropout": 0.2, "pooling": "mean"}),
    ]  # fmt: skip


def multilabel() -> list[Trial]:
    """Labels as lists, and as text."""
    return [
        Trial(name="lists", truths=[["a"], ["a", "b"], [], ["c", "b"], ["c"]]),
        Trial(name="text", options={"class_weights": "balanced", "label_smoothing": 0.1, "pooling": "max"},
              truths=["a", "a;b", "", "c;b", "c"]),
    ]  # fmt: skip


def regressor() -> list[Trial]:
    """All three losses."""
    numbers = [3.5, -1.0, 0.0, 12.25, 7]
    return [
        Trial(name="mse", truths=numbers),
        Trial(name="mae", options={"loss": "mae", "dropout": 0.2}, truths=numbers),
        Trial(name="huber", options={"loss": "huber", "hidden": 8, "pooling": "mean"}, truths=numbers),
    ]


def embedder() -> list[Trial]:
    """Classes from a few examples, pairs with a number, and identities."""
    pairs = [{"one": f"text {row}", "other": f"another {row}"} for row in range(5)]
    return [
        Trial(name="few examples", options={"dimensions": 8, "dropout": 0.1}),
        Trial(name="pairs", inputs=pairs, truths=[0.0, 5.0, 2.5, 1.0, 4.0]),
        Trial(name="identities", options={"loss": "additive_margin", "pooling": "mean"}),
    ]


_TABLE = "text,class,number,person\n" + "".join(
    f"line {row} of {('ants', 'bees')[row % 2]},{('ant', 'bee')[row % 2]},{row / 4},p{row % 3}\n" for row in range(12)
)


def table() -> list[Trial]:
    """A table, one that says its splits and groups, and files that bring the splits."""
    options, splits = {"input": "text", "target": "class"}, ("train", "valid", "test")
    rows = [f"line {row},{('ant', 'bee')[row % 2]},{splits[row % 3]},p{row % 3}" for row in range(9)]
    lines = ['{"text": ["one", "line"], "class": "ant"}\n', '{"text": ["another"], "class": "bee"}\n']
    several = {"path": {"train": "a.jsonl", "test": "b.jsonl"}, "classes": ["bee", "ant"]}
    return [
        Trial(name="csv", options={"path": "table.csv", **options}, files={"table.csv": _TABLE}),
        Trial(name="splits", options={"path": "split.csv", "split": "part", "group": "person", **options},
              files={"split.csv": "\n".join(["text,class,part,person", *rows])}),
        Trial(name="files", options={**several, **options},
              files={"a.jsonl": "".join(lines), "b.jsonl": lines[1].replace("another", "third")}),
    ]  # fmt: skip


def folder() -> list[Trial]:
    """A folder of folders of files, and one whose file names say more."""
    places = {f"{split}/{name}/{take}.txt": f"{split} {name} {take}"
              for split in ("train", "test") for name in ("ant", "bee") for take in range(2)}  # fmt: skip
    named = {f"all/{name}_{person}.wav": f"{name} {person}" for name in ("ant", "bee") for person in ("ada", "bo")}
    options = {"path": "all", "names": "{class}_{person}", "group": "person"}
    return [
        Trial(name="classes", options={"path": "data"}, files={f"data/{name}": text for name, text in places.items()}),
        Trial(name="names", options=options, files=named),
    ]


def package() -> Trial:
    """A table that pyarrow brings."""
    path = "pyarrow/tests/data/parquet/v0.7.1.parquet"
    return Trial(options={"distribution": "pyarrow", "path": path, "input": "carat", "target": "cut"})


def hub() -> list[Trial]:
    """A local file, read at once and as a stream."""
    options = {"path": "csv", "data_files": {"train": "table.csv"}, "input": "text", "target": "class"}
    streamed = {**options, "streaming": True, "examples": 12, "classes": ["ant", "bee"]}
    files = {"table.csv": _TABLE}
    return [Trial(name="table", options=options, files=files), Trial(name="stream", options=streamed, files=files)]


def soup() -> Trial:
    """Checkpoints of the run, and those of another run."""
    return Trial(options={"runs": ["runs/first"], "members": 2})


def distill() -> Trial:
    """Answers, and features too."""
    return Trial(options={"teacher": "runs/first", "features": 1.0})


def lora() -> list[Trial]:
    """Adapters that are merged, and adapters that stay."""
    return [Trial(name="merged", options={"merge": True, "rank": 2}), Trial(name="beside", options={"rank": 2})]


def linear_probe() -> list[Trial]:
    """A head that is fitted, and one that takes steps."""
    return [Trial(name="features"), Trial(name="steps", options={"solver": "steps"})]
