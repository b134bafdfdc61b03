"""Tables to windows: what is seen, what is forecast, and that train knows nothing of what comes later."""

import math
from pathlib import Path

import pytest
from inarch import DataError, RecipeError

from inarch_timeseries.builders import series
from inarch_timeseries.windows import read_window


def write(folder: Path, rows: list[list[object]]) -> str:
    path = folder / "table.csv"
    path.write_text("".join(",".join(map(str, row)) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def counted(folder: Path, steps: int = 40) -> str:
    """Two series, of which each value says its step."""
    names = ["name", *range(1960, 1960 + steps)]
    return write(folder, [names, ["up", *range(steps)], ["far", *range(100, 100 + 3 * steps, 3)]])


def test_a_row_is_a_series_and_a_window_is_followed_by_its_future(tmp_path):
    dataset = series(path=counted(tmp_path), context=4, horizon=2, layout="rows", label="name")
    row = dataset.splits["test"][0]
    assert row == {"window": [[28.0], [29.0], [30.0], [31.0]], "future": {"values": [[32.0], [33.0]], "unit": [1.0]},
                   "series": "up"}  # fmt: skip
    assert dataset.splits["test"].where(0) == f"{dataset.origin}, up, step 32"
    assert [future["unit"] for future in dataset.splits["train"].column("future")] == 19 * [[1.0]] + 19 * [[3.0]]


def test_what_a_split_forecasts_comes_after_all_that_the_one_before_it_saw(tmp_path):
    dataset = series(path=counted(tmp_path), context=4, horizon=2, layout="rows", label="name", only=(0, 1))
    steps = {split: [step for future in rows.column("future") for [step] in future["values"]]
             for split, rows in dataset.splits.items()}  # fmt: skip
    assert max(steps["train"]) == 23 and min(steps["valid"]) == 24
    assert max(steps["valid"]) == 31 and min(steps["test"]) == 32 and max(steps["test"]) == 39
    assert len(steps["valid"]) == len(set(steps["valid"])) == 8  # each step once
    assert max(step for window in dataset.splits["train"].column("window") for [step] in window) < 24


def test_the_unit_of_errors_is_made_of_the_steps_before_valid_alone(tmp_path):
    rows = [["name", *range(20)], ["a", *[0, 1] * 6, *[0, 100] * 4]]
    dataset = series(path=write(tmp_path, rows), context=3, horizon=2, layout="rows", label="name")
    assert dataset.splits["test"][0]["future"]["unit"] == [1.0]
    rows = [["name", *range(20)], ["a", *[0, 1, 5] * 6, 0, 1]]
    seasonal = {"path": write(tmp_path, rows), "context": 3, "horizon": 2, "layout": "rows", "label": "name"}
    with pytest.raises(DataError, match="every series never changes over 3 steps before valid, or is not known"):
        series(**seasonal, season=3)


def test_windows_with_a_gap_and_series_that_never_change_are_left_out_and_counted(tmp_path):
    rows = [["name", *range(30)], ["a", *range(10), "", *range(11, 30)], ["flat", *[7] * 30], ["b", *range(30)]]
    dataset = series(path=write(tmp_path, rows), context=3, horizon=2, layout="rows", label="name")
    assert set(dataset.splits["train"].column("series")) == {"a", "b"}
    assert dataset.notes == (
        "1 series are left out: before valid they never change over 1 steps, or are not known",
        "5 windows are left out: they have a gap",
    )
    assert not any(math.isnan(step) for window in dataset.splits["train"].column("window") for [step] in window)


def test_columns_are_the_channels_of_one_series(tmp_path):
    path = write(tmp_path, [["month", "here", "there"], *([f"m{step}", step, 2 * step] for step in range(30))])
    dataset = series(path=path, context=3, horizon=1, label="month")
    assert dataset.splits["train"][0]["window"] == [[0.0, 0.0], [1.0, 2.0], [2.0, 4.0]]
    assert dataset.splits["train"][0]["future"] == {"values": [[3.0, 6.0]], "unit": [1.0, 2.0]}
    there = series(path=path, context=3, horizon=1, values=["there"])
    assert there.splits["train"][0]["window"] == [[0.0], [2.0], [4.0]]


def test_steps_at_the_ends_that_no_series_has_are_no_steps(tmp_path):
    rows = [["name", *range(12)], ["a", "", *range(10), "NA"], ["b", "..", *range(5, 15), ""]]
    dataset = series(path=write(tmp_path, rows), context=2, horizon=1, layout="rows", label="name")
    assert dataset.splits["test"].column("window")[-1] == [[12.0], [13.0]] and dataset.notes == ()


@pytest.mark.parametrize(
    "changed, told",
    [
        ({"context": 30}, "no window of 30 [+] 2 steps for train: the table has 40 steps, of which valid begins at 24"),
        ({"test": 0.02}, "no window of 4 [+] 2 steps for test"),
        ({"label": "nam"}, "unknown column 'nam'. Did you mean 'name'"),
        ({"values": ["1950"]}, "unknown column '1950'"),
        ({"only": (1, 3)}, "dataset.only: expected two numbers from 0 to 2, found"),
        ({"layout": "columns", "only": (0, 1), "label": None}, "line 2, name: expected a number, found 'up'"),
    ],
)
def test_mistakes_are_told(tmp_path, changed, told):
    options = {"context": 4, "horizon": 2, "layout": "rows", "label": "name", **changed}
    if changed.get("layout"):
        options["values"] = ["name"]
    with pytest.raises((DataError, RecipeError), match=told):
        series(path=counted(tmp_path), **options)


def test_a_window_may_be_one_list_and_what_is_none_is_refused_with_its_step():
    assert read_window([1, 2.5, 3]) == [[1.0], [2.5], [3.0]]
    for raw, told in [([1, "two"], "step 1: expected a number, found 'two'"), ("1 2", "expected a list of steps"),
                      ([[1, 2], [3]], "step 1 has 1 channels, the first one 2"), ([math.inf], "step 0")]:  # fmt: skip
        with pytest.raises(ValueError, match=told):
            read_window(raw)
