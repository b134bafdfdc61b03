"""The data set: the same series for the same seed, of all classes, with names of their places."""

from {{cookiecutter.package}}.builders import waves


def test_a_seed_makes_the_same_series_and_another_others() -> None:
    [first, again, other] = [waves(examples=6, seed=seed).splits["train"].column("series") for seed in (0, 0, 1)]
    assert first == again and first != other


def test_every_source_has_every_tempo_as_often() -> None:
    rows = waves(examples=72).splits["train"]
    pairs = list(zip(rows.column("source"), rows.column("tempo"), strict=True))
    assert len(set(pairs)) == 36 and all(pairs.count(pair) == 2 for pair in pairs)


def test_a_row_says_where_it_is_from() -> None:
    assert waves(examples=6, seed=3).splits["train"].where(2) == "waves of seed 3, row 2"
