"""Weights made of several: what is kept for them, what is chosen on valid, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import write_vectors
from cuts import ending, resumed
from safetensors.torch import load_file, save_file

import inarch
from inarch import Strategy
from inarch.builtin.averaging import average, between, soup, wise_ft
from inarch.interfaces.strategy import Trained, Weights

OPTIONS = {"backbone.norm": True, "train.epochs": 5}


def results(run: Path) -> dict[str, Any]:
    return json.loads((run / "results.json").read_text())


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def state(value: float, count: int = 0) -> dict[str, torch.Tensor]:
    return {"weight": torch.full((2, 2), value), "running_mean": torch.tensor([value]), "seen": torch.tensor(count)}


def kept(*values: float) -> list[Weights]:
    return [Weights(f"step {number}", lambda value=value: state(value)) for number, value in enumerate(values)]


def nearest_to(goal: float) -> Any:
    """Score weights by how near they are to a goal."""
    return lambda weights: -abs(float(weights["weight"].mean()) - goal)


def test_ends_of_the_line_have_their_own_bits_and_whole_numbers_are_the_ends() -> None:
    start, end = ({"a": torch.randn(50), "n": torch.tensor(n)} for n in (3, 8))
    assert torch.equal(between(start, end, 0.0)["a"], start["a"])
    assert torch.equal(between(start, end, 1.0)["a"], end["a"])
    assert between(start, end, 0.25)["a"].allclose(0.75 * start["a"] + 0.25 * end["a"])
    assert between(start, end, 0.25)["n"] == 8


def test_the_mean_of_equal_weights_has_their_bits_and_statistics_are_averaged() -> None:
    tensor = torch.randn(1000)
    assert torch.equal(average([Weights("a", lambda: {"a": tensor})] * 3)["a"], tensor)
    mean = average(kept(1.0, 2.0, 6.0))
    assert mean["running_mean"] == 3.0 and mean["weight"].dtype == torch.float32 and mean["seen"].dtype == torch.int64


def test_wise_ft_takes_the_share_that_is_best_on_valid_and_tells_the_curve() -> None:
    trained = Trained(best=kept(1.0), ends=kept(0.0))
    combined, facts = wise_ft().combine(trained, nearest_to(0.32))
    assert facts["chosen"] == 0.3 and combined["weight"].mean() == pytest.approx(0.3)
    assert [point["share"] for point in facts["curve"]] == [tenth / 10 for tenth in range(11)]
    assert [point["score"] for point in facts["curve"]][:2] == pytest.approx([-0.32, -0.22])
    assert "0.3 of those of step 0 and 0.7 of those of the probe" in facts["sentence"]


def test_a_greedy_soup_starts_from_the_best_and_takes_what_helps_in_that_order() -> None:
    found, facts = soup(members=4).combine(Trained(kept(1.0, 1.4, 0.2, 5.0), []), nearest_to(0.9))
    # alone 0.1, 0.5, 0.7, 4.1 from the goal; 1.0 with 1.4 is 0.3 away, with 0.2 also 0.3, with 5.0 farther still
    assert facts["members"] == ["step 0"] and found["weight"].mean() == 1.0
    found, facts = soup(members=4).combine(Trained(kept(1.0, 1.4, 0.2, 5.0), []), nearest_to(0.7))
    assert facts["members"] == ["step 0", "step 2"] and found["weight"].mean() == pytest.approx(0.6)
    assert [entry["joins"] for entry in facts["tried"]] == [True, True, False, False]
    assert {entry["weights"] for entry in facts["tried"]} == {"step 0", "step 1", "step 2", "step 3"}


def test_other_runs_may_be_the_best_of_a_soup() -> None:
    trained = Trained(kept(0.0), [], runs=[Weights("runs/other", lambda: state(1.0))])
    _, facts = soup().combine(trained, nearest_to(1.0))
    assert facts["members"] == ["runs/other"]


@pytest.mark.parametrize("metric", ["loss", "accuracy"])
def test_a_soups_weights_are_the_mean_of_kept_checkpoints(toy_recipe: Path, tmp_path: Path, metric: str) -> None:
    options = {**OPTIONS, "strategy": "soup", "train.best_metric": metric, "train.epochs": 6}
    run = inarch.train(toy_recipe, options, out=tmp_path / "run").directory
    facts = results(run)["combined"]
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    sign = 1 if metric == "loss" else -1
    best = sorted(lines, key=lambda line: sign * line["valid"][metric])[:3]
    assert {entry["weights"] for entry in facts["tried"]} == {f"step {line['step']}" for line in best}
    assert facts["tried"][0]["alone"] == pytest.approx(-sign * best[0]["valid"][metric])
    states = [weights(run / "checkpoints" / f"step-{int(name.split()[1]):08d}") for name in facts["members"]]
    for name, tensor in weights(run / "model").items():
        mean = sum(state[name].double() for state in states) / len(states)
        assert tensor.allclose(mean.float(), atol=1e-6) if tensor.is_floating_point() else tensor == states[0][name]
    assert facts["sentence"] in (run / "report.html").read_text()


def test_wise_ft_lies_between_the_end_of_the_probe_and_the_best_of_fine_tuning(
    toy_recipe: Path, tmp_path: Path
) -> None:
    run = inarch.train(toy_recipe, {**OPTIONS, "strategy": {"name": "wise_ft", "rate": 3.0}}, out=tmp_path / "run")
    found = results(run.directory)
    facts, figures = found["combined"], (run.directory / "metrics.jsonl").read_text()
    steps = [json.loads(line) for line in figures.splitlines()]
    probe = [line["step"] for line in steps if line["phase"] == "linear_probe"][-1]
    tuned = min((line for line in steps if line["phase"] == "fine_tuning"), key=lambda line: line["valid"]["loss"])
    assert run.best_step == tuned["step"]
    checkpoints = run.directory / "checkpoints"
    start, end = (weights(checkpoints / f"step-{step:08d}") for step in (probe, tuned["step"]))
    for name, tensor in weights(run.directory / "model").items():
        expected = (start[name] + facts["chosen"] * (end[name] - start[name])).to(tensor.dtype)
        assert tensor.allclose(expected, atol=1e-6) if tensor.is_floating_point() else tensor == end[name]
    scores = {point["share"]: point["score"] for point in facts["curve"]}
    assert scores[facts["chosen"]] == max(scores.values())
    assert scores[1.0] == pytest.approx(-tuned["valid"]["loss"])


def test_nothing_else_is_kept_than_the_best_the_ends_and_the_newest(toy_recipe: Path, tmp_path: Path) -> None:
    run = inarch.train(toy_recipe, {**OPTIONS, "strategy": "lp_ft", "train.epochs": 9}, out=tmp_path / "lp").directory
    assert len(list((run / "checkpoints").glob("step-*"))) <= 3
    run = inarch.train(toy_recipe, {**OPTIONS, "strategy": "wise_ft", "train.epochs": 9}, out=tmp_path / "w").directory
    assert len(list((run / "checkpoints").glob("step-*"))) <= 5


@pytest.mark.parametrize("strategy, steps", [("soup", [5, 18]), ("wise_ft", [1, 4, 13])])
def test_a_run_that_combines_ends_with_the_same_bits_wherever_it_is_cut(
    toy_recipe: Path, tmp_path: Path, strategy: str, steps: list[int]
) -> None:
    options = {**OPTIONS, "strategy": strategy, "train.checkpoint_every": 1, "backbone.noise": 0.1, "train.ema": 0.9,
               "train.epochs": 3}  # fmt: skip
    for step in steps:  # the first and the last of the run among them
        whole, cut = resumed(toy_recipe, tmp_path, options, step)
        assert ending(cut) == ending(whole)
        assert results(cut)["combined"] == results(whole)["combined"]


@pytest.mark.parametrize("strategy", ["soup", "wise_ft"])
def test_without_a_valid_split_it_is_refused_before_anything_is_trained(
    toy_recipe: Path, tmp_path: Path, strategy: str
) -> None:
    with pytest.raises(inarch.RecipeError, match=rf"'{strategy}' chooses weights on valid.*set splits\.valid above 0"):
        inarch.train(toy_recipe, {"strategy": strategy, "splits.valid": 0}, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_soup_over_runs_tries_their_bundles(toy_recipe: Path, tmp_path: Path) -> None:
    other = inarch.train(toy_recipe, {**OPTIONS, "seed": 1}, out=tmp_path / "other").directory
    options = {**OPTIONS, "strategy": {"name": "soup", "members": 1, "runs": [str(other)]}}
    run = inarch.train(toy_recipe, options, out=tmp_path / "run").directory
    assert {entry["weights"] for entry in results(run)["combined"]["tried"]} == {f"step {results(run)['best_step']}",
                                                                                 str(other)}  # fmt: skip


@pytest.mark.parametrize("changed, told", [
    ({"backbone.width": 9}, r"weights of other names or shapes: backbone\.blocks\.0\.0\.bias"),
    ({"head": "regressor", "dataset.target": "number", "metrics": ["mae"]}, "head.name: 'regressor' there"),
    ({"splits.seed": 5}, "the data is not what this run was made with: valid had 9 examples, now it has 9 others"),
    ({"backbone.weights": "start"}, r"backbone\.weights: '.*start.safetensors' there, 'none' here"),
    ({"strategy": "lora", "backbone.weights": "start"}, "adapters apart from the weights"),
])  # fmt: skip
def test_a_run_that_does_not_fit_is_refused_saying_what_differs(
    toy_recipe: Path, tmp_path: Path, changed: dict[str, Any], told: str
) -> None:
    if "backbone.weights" in changed:
        from inarch_toy.backbone import Vectors

        save_file(Vectors("none", 4, 8, 2, 0.0, True, 0.0, False, 0).state_dict(), tmp_path / "start.safetensors")
        changed = {**changed, "backbone.weights": str(tmp_path / "start.safetensors")}
    inarch.train(toy_recipe, {"backbone.norm": True, "train.epochs": 1, **changed}, out=tmp_path / "other")
    options = {**OPTIONS, "strategy": {"name": "soup", "runs": [str(tmp_path / "other")]}}
    with pytest.raises(inarch.RunError, match=told):
        inarch.train(toy_recipe, options, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_another_backbone_is_refused_by_name(toy_recipe: Path, letters: Path, tmp_path: Path) -> None:
    inarch.train(letters, {"train.epochs": 1}, out=tmp_path / "other")
    with pytest.raises(inarch.RunError, match=r"backbone\.name: 'letters' there, 'vectors' here"):
        inarch.train(toy_recipe, {"strategy": {"name": "soup", "runs": [str(tmp_path / "other")]}}, out=tmp_path / "r")


def test_other_classes_are_refused_by_name(toy_recipe: Path, tmp_path: Path) -> None:
    table = write_vectors(tmp_path / "others.csv")
    table.write_text(table.read_text().replace("warm", "hot"))
    inarch.train(toy_recipe, {"train.epochs": 1, "dataset.path": str(table)}, out=tmp_path / "other")
    with pytest.raises(inarch.RunError, match="the classes cold, hot there, cold, warm here"):
        inarch.train(toy_recipe, {"strategy": {"name": "soup", "runs": [str(tmp_path / "other")]}}, out=tmp_path / "r")


def test_what_is_no_run_is_told(toy_recipe: Path, tmp_path: Path) -> None:
    options = {"strategy": {"name": "soup", "runs": [str(tmp_path / "nothing")]}}
    with pytest.raises(inarch.RunError, match=r"strategy\.runs: .*nothing: no bundle here; expected a finished run"):
        inarch.train(toy_recipe, options, out=tmp_path / "run")


def test_early_stopping_ends_a_phase_and_the_next_has_its_own_patience(toy_recipe: Path, tmp_path: Path) -> None:
    options = {
        "strategy": "gradual_unfreezing", "train.epochs": 40, "train.schedule": "constant", "train.learning_rate": 0.5,
        "train.early_stopping": {"metric": "loss", "patience": 1},
    }  # fmt: skip
    run = inarch.train(toy_recipe, options, out=tmp_path / "run").directory
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert list(dict.fromkeys(line["phase"] for line in lines)) == ["linear_probe", "last_1_layers", "all_layers"]
    assert len(lines) < 40
    losses = [line["valid"]["loss"] for line in lines if line["phase"] == "all_layers"]
    assert losses[-1] >= min(losses[:-1])  # it stopped for a loss that did not improve, one evaluation after the best
    before = ending(run)
    (run / "results.json").unlink()
    inarch.train(toy_recipe, options, out=run, resume=True)  # a run that has stopped takes no further step
    assert ending(run) == before


def test_a_strategy_combines_if_it_says_how() -> None:
    class Plain(Strategy):
        def phases(self, backbone: Any, train: Any) -> list[Any]:
            return []

    assert not Plain().combines and soup().combines and wise_ft().combines
