"""Frozen features, computed once: equal to what the backbone answers, by the content of the raw inputs."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from inarch_toy.backbone import Vectors
from inarch_toy.spelling import Letters

from inarch.builtin.embedder_targets import read_embedder
from inarch.builtin.head_modules import Classifier, pool
from inarch.builtin.heads import embedder
from inarch.data.loaders import Examples
from inarch.data.views import Views
from inarch.errors import DataError, RecipeError, RunError
from inarch.features import extraction
from inarch.features.extraction import Extracted, extract
from inarch.features.store import Store
from inarch.interfaces.backbone import Backbone
from inarch.interfaces.dataset import Dataset, Rows, Stream, Targets

TEXTS = ["abc", "d" * 30, "hello there", "e", "the longest of them all and then some more", "ff"]
NUMBERS = [f"{index} 0 1 {index % 3}" for index in range(12)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


def examples_of(
    raws: list[Any], backbone: Backbone, *, skip: bool = False, seed: int = 0, files: bool = False
) -> Examples:
    targets = Targets("classes", ("a", "b"), {"train": [6, 6]}, {"values": {"a": 0, "b": 1}})
    rows = Rows({"raw": raws, "class": ["ab"[index % 2] for index in range(len(raws))]})
    head = Classifier(targets, backbone.num_features, 0.0, "none", None, 0.0, "pooled")
    dataset = Dataset({"train": rows}, "raw", "class", files=frozenset({"raw"} if files else ()))
    return Examples(dataset, "train", backbone, head, seed, skip)


def vectors(noise: float = 0.3, seed: int = 0) -> Vectors:
    torch.manual_seed(seed)
    return Vectors("none", 4, 8, 2, 0.5, True, noise, True, 0)


def letters(**options: object) -> Letters:
    torch.manual_seed(0)
    return Letters("none", 8, **{"prepared": False, "longest": None, **options})  # type: ignore[arg-type]


def taken(raws: list[Any], backbone: Backbone, store: Store, **options: Any) -> Extracted:
    made = {name: options.pop(name) for name in ("skip", "seed", "files") if name in options}
    return extract(examples_of(raws, backbone, **made), backbone, Accelerator(cpu=True), 5, store=store, **options)


def test_features_are_what_the_backbone_answers_in_evaluation(store: Store) -> None:
    backbone = vectors().train()
    backbone.blocks[0].eval()
    found = taken(NUMBERS, backbone, store)
    assert [module.training for module in (backbone, *backbone.blocks)] == [True, False, True]
    inputs = torch.tensor([[float(number) for number in raw.split()] for raw in NUMBERS])
    expected = backbone.eval()(inputs).pooled
    assert np.abs(found.values - expected.detach().numpy()).max() < 1e-6
    assert (found.rows, found.skipped, found.computed, found.notes) == (list(range(12)), [], 12, [])


def test_features_that_are_stored_are_not_computed_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    first = taken(NUMBERS, vectors(), store)
    monkeypatch.setattr(Vectors, "forward", None)
    again = taken(NUMBERS, vectors(), store)
    assert (again.computed, again.rows) == (0, first.rows)
    assert np.array_equal(first.values, again.values)
    assert not again.values.flags.owndata
    torch.from_numpy(again.values)  # which warns of arrays that cannot be written to


def test_only_rows_that_are_new_are_computed_whatever_their_place(store: Store) -> None:
    backbone = vectors()
    taken(NUMBERS[:7], backbone, store)
    found = taken(NUMBERS[::-1], backbone, store)
    assert found.computed == 5
    assert found.values == pytest.approx(taken(NUMBERS, backbone, Store(store.root / "other")).values[::-1], abs=1e-6)


def test_other_weights_another_option_or_another_view_have_features_of_their_own(store: Store) -> None:
    taken(NUMBERS, vectors(), store)
    for backbone, view in ((vectors(seed=1), 0), (vectors(noise=0.4), 0), (vectors(), 1)):
        assert taken(NUMBERS, backbone, store, view=view).computed == 12
    changed = vectors()
    with torch.no_grad():
        changed.blocks[1][1].running_mean[0] += 1e-6
    assert taken(NUMBERS, changed, store).computed == 12


def test_an_input_with_windows_counts_by_the_mean_of_theirs(store: Store) -> None:
    backbone = letters(window=8)
    found = taken(TEXTS, backbone, store)
    read = backbone.transform(False)
    for raw, values in zip(TEXTS, found.values, strict=True):
        batch = backbone.collate([read(window) for window in backbone.windows(raw) or [raw]])
        assert values == pytest.approx(backbone(**batch).pooled.mean(0).tolist(), abs=1e-6)


@pytest.mark.parametrize("field", ["mean", "max"])
def test_tokens_may_be_pooled_in_other_ways(store: Store, field: str) -> None:
    backbone = letters()
    found = taken(TEXTS, backbone, store, field=field)
    batch = backbone.collate([backbone.transform(False)(raw) for raw in TEXTS])
    assert found.values == pytest.approx(pool(backbone(**batch), field).detach().numpy(), abs=1e-6)


def test_a_view_is_drawn_as_in_training_from_seed_view_and_row_alone(store: Store, tmp_path: Path) -> None:
    backbone = vectors()
    views = [taken(NUMBERS, backbone, store, view=view).values for view in range(3)]
    assert min(np.abs(views[first] - views[second]).max() for first, second in ((0, 1), (0, 2), (1, 2))) > 0.01
    other = Store(tmp_path / "other")
    taken(NUMBERS[:3], backbone, other, view=1)
    assert taken(NUMBERS, backbone, other, view=1).values == pytest.approx(views[1], abs=1e-6)
    assert np.abs(taken(NUMBERS, backbone, store, view=1, seed=5).values - views[1]).max() > 0.01
    assert taken([NUMBERS[0]] * 2, backbone, store, view=1).values.std(0).max() > 0.01


def test_a_view_is_not_mixed_with_other_examples() -> None:
    backbone = Vectors("none", 4, 8, 1, 0.0, False, 0.01, True, 0)
    examples = examples_of(NUMBERS, backbone)
    drawn = Views(examples, 1)[[3, 7]]["batch"]["vector"]
    assert drawn == pytest.approx(torch.tensor([[3.0, 0, 1, 0], [7.0, 0, 1, 1]]), abs=0.1)
    assert "targets" not in Views(examples, 1)[[3]]


def test_what_is_not_drawn_at_random_has_one_view(store: Store) -> None:
    backbone = letters(prepared=True)
    taken(TEXTS, backbone, store)
    assert taken(TEXTS, backbone, store, view=2).computed == 0


class Files(Vectors):
    """Vectors in files."""

    class Read:
        def __call__(self, raw: Path) -> dict[str, torch.Tensor]:
            return {"vector": torch.tensor([float(part) for part in raw.read_text().split()])}

    def transform(self, training: bool) -> "Files.Read":
        return self.Read()


def test_a_file_counts_by_its_content(store: Store, tmp_path: Path) -> None:
    torch.manual_seed(0)
    backbone = Files("none", 4, 8, 2, 0.0, False, 0.0, False, 0)
    paths = [tmp_path / f"{index}.txt" for index in range(3)]
    for path, numbers in zip(paths, NUMBERS, strict=False):
        path.write_text(numbers)
    before = taken([str(path) for path in paths], backbone, store, files=True).values.copy()
    paths[0].rename(tmp_path / "moved.txt")
    paths[1].write_text(NUMBERS[11])
    found = taken([str(tmp_path / "moved.txt"), *map(str, paths[1:])], backbone, store, files=True)
    assert found.computed == 1
    assert np.array_equal(found.values[[0, 2]], before[[0, 2]])
    assert np.abs(found.values[1] - before[1]).max() > 0.01


def test_rows_that_cannot_be_read_are_left_out_where_the_recipe_says_so(store: Store) -> None:
    broken = [*NUMBERS[:3], "1 2", *NUMBERS[4:], "x"]
    for computed in (11, 0):
        found = taken(broken, vectors(), store, skip=True)
        assert found.rows == [0, 1, 2, *range(4, 12)]
        assert found.values.shape == (11, 8)
        assert sorted(found.skipped) == [
            "row 12: could not convert string to float: 'x'", "row 3: expected 4 numbers, found 2"]  # fmt: skip
        assert found.computed == computed
    with pytest.raises(DataError, match=r"row 3: expected 4 numbers, found 2 \(on_error: skip would leave it out\)"):
        taken(broken, vectors(), store)
    with pytest.raises(DataError, match="no example of the split could be read: row 0"):
        taken(["1", "2"], vectors(), store, skip=True)


def test_what_was_computed_before_a_run_was_stopped_is_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "SAVE_EVERY", 0)
    with pytest.raises(DataError, match="row 11"):
        taken([*NUMBERS[:11], "x"], vectors(), store)
    found = taken(NUMBERS, vectors(), store)
    assert found.computed == 2
    assert [table.rows for table in store.tables()] == [12]


def test_a_stored_row_that_is_damaged_is_computed_again_and_told(store: Store) -> None:
    first = taken(NUMBERS, vectors(), store)
    [shard] = store.root.glob("*/*.safetensors")
    content = bytearray(shard.read_bytes())
    content[-12 * 36 - 9] ^= 64  # in the last row's values
    shard.write_bytes(content)
    found = taken(NUMBERS, vectors(), store)
    assert found.computed == 1
    assert found.notes == [f"{shard}: damaged; what does not match its checksum is computed anew"]
    assert found.values == pytest.approx(first.values, abs=1e-6)
    again = taken(NUMBERS, vectors(), store)
    assert (again.computed, again.notes) == (0, [])


def test_without_room_on_the_disk_features_are_used_without_being_stored(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INARCH_CACHE_LIMIT", "0")
    found = [taken(NUMBERS, vectors(), store) for _ in range(2)]
    assert [one.computed for one in found] == [12, 12]
    assert np.array_equal(found[0].values, found[1].values)
    assert "features are used without being stored" in found[1].notes[0]
    assert not store.root.exists()


def test_a_mistake_in_the_limit_is_told_before_anything_is_computed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INARCH_CACHE_LIMIT", "plenty")
    monkeypatch.setattr(Vectors, "forward", None)
    with pytest.raises(RunError, match="INARCH_CACHE_LIMIT: 'plenty' is not a size"):
        taken(NUMBERS, vectors(), store)


def test_what_has_no_vector_for_each_row_is_refused(store: Store) -> None:
    backbone = vectors()
    backbone.provides = frozenset({"pooled"})
    with pytest.raises(RecipeError, match="features 'mean' need tokens; the backbone provides pooled"):
        taken(NUMBERS, backbone, store, field="mean")
    stream = Stream(12, lambda seed, start: iter(()), ["raw", "class"])
    pairs = Rows({"raw": TEXTS, "other": TEXTS[::-1], "class": [0.1 * number for number in range(6)]})
    apart = Dataset({"train": pairs}, ("raw", "other"), "class")
    head = embedder(read_embedder(apart, {"loss": "cosine"}), 8)
    for dataset, reason in ((Dataset({"train": stream}, "raw", "class"), "a stream is read from its beginning"),
                            (apart, "here 2 columns go through the backbone apart")):  # fmt: skip
        examples = Examples(dataset, "train", letters(), head, 0, False)
        with pytest.raises(DataError, match=reason):
            extract(examples, letters(), Accelerator(cpu=True), store=store)


class Calls(Vectors):
    """Vectors that a function returns."""

    def transform(self, training: bool) -> Any:
        return lambda raw: {"vector": torch.tensor([float(part) for part in raw().split()])}


def test_what_cannot_be_written_down_is_computed_each_time(store: Store) -> None:
    torch.manual_seed(0)
    backbone = Calls("none", 4, 8, 2, 0.0, False, 0.0, False, 0)
    raws: list[Any] = [*(partial(str, raw) for raw in NUMBERS[:8]), *(lambda raw=raw: raw for raw in NUMBERS[8:])]
    assert [taken(raws, backbone, store).computed for _ in range(2)] == [12, 4]
