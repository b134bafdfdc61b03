"""From a recipe over odd texts to a bundle, through the public door."""

import json
import shutil

import pytest

import inarch

ODD = [
    "emoji 👨‍👩‍👧 and 👍🏽!",
    "שלום עולם, مرحبا بالعالم",
    "zero\u200bwidth \u200ewords\ufeff here",
    "世界 is the world",
    "tabs\tand\nlines\n  and   blanks ",
    "good " * 20_000,
]


@pytest.mark.parametrize("columns", [["text"], ["title", "text"]])
def test_a_bundle_gives_odd_texts_the_scores_of_evaluation(tiny, tmp_path, columns):
    folder = shutil.copytree(tiny("bert"), tmp_path / "model")
    rows = [{"title": f"film {n}", "text": f"{text} {n}", "class": "ab"[n % 2]} for n, text in enumerate(ODD * 8)]
    for split, part in [("train", rows[:36]), ("test", rows[36:])]:
        lines = [json.dumps(row) + "\n" for row in part]
        (tmp_path / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
    (tmp_path / "odd.yaml").write_text(
        f"dataset: {{name: table, path: {{train: {tmp_path}/train.jsonl, test: {tmp_path}/test.jsonl}}, "
        f"input: [{', '.join(columns)}], target: class}}\n"
        f"backbone: {{name: transformers, model: {folder}}}\n"
        "head: classifier\nstrategy: full\nmetrics: [accuracy]\n"
        "train: {epochs: 1, batch_size: 8, learning_rate: 0.001, workers: 0, precision: fp32}\n",
        encoding="utf-8",
    )
    inarch.train(tmp_path / "odd.yaml", out=tmp_path / "run")
    shutil.rmtree(folder)

    told = [json.loads(line) for line in (tmp_path / "run" / "predictions" / "test.jsonl").read_text().splitlines()]
    raws = [{name: row[name] for name in columns} if columns[1:] else row["text"] for row in rows[36:]]
    found = inarch.load(tmp_path / "run").predict(raws, batch_size=8)
    assert len(told) == len(found) == 12
    for line, served in zip(told, found, strict=True):
        assert served["scores"] == pytest.approx(line["scores"], abs=1e-6)
    settings = json.loads((tmp_path / "run" / "environment.json").read_text())["backbone"]
    assert settings["transformers"] and settings["remote_code"] == "forbid"
