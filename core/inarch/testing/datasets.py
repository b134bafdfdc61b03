"""The contract of data sets, as checks; what they are tried with is in `dataset_case`."""

import pickle
from collections.abc import Mapping
from itertools import combinations, islice
from pathlib import Path
from typing import Any

from inarch.data.classes import split_labels
from inarch.errors import InarchError, listing
from inarch.testing.check import Checks, expect, skip
from inarch.testing.comparing import difference, drawing_is_seen
from inarch.testing.dataset_case import MOST, DatasetCase, contents, digest, in_workers, read

CHECKS = Checks()
SPLITS = ("train", "valid", "test")
MISSING = "no/such/place"


@CHECKS.add("inarch.Dataset")
def splits_have_their_columns(case: DatasetCase) -> None:
    """There is a split `train`; every split has rows, and the columns of input, target and group."""
    dataset = case.built()
    expect("train" in dataset.splits, f"its splits are {listing(dataset.splits)}")
    for name, rows in dataset.splits.items():
        expect(name in SPLITS, f"a split is called '{name}', which is none of {listing(SPLITS)}")
        expect(len(rows) > 0, f"'{name}' has no rows")
        for column in (*dataset.inputs, dataset.target, *([dataset.group] if dataset.group else []), *dataset.files):
            expect(column in rows.columns, f"'{name}' has no column '{column}', only {listing(rows.columns)}")
    expect(dataset.target not in dataset.inputs, f"the target '{dataset.target}' is an input, too")
    expect(dataset.origin, "`origin` is empty: nobody is told where the data is")


@CHECKS.add("inarch.Rows")
def length_is_stable(case: DatasetCase) -> None:
    """A split has as many rows as its length says, whenever it is asked, and no more."""
    for _, name, rows in case.tables():
        before = len(rows)
        list(read(rows))
        expect(len(rows) == before, f"the length of '{name}' was {before}, and is {len(rows)} once rows are read")
        for column in rows.columns:
            size = len(rows.column(column))
            expect(size == before, f"the length of '{name}' is {before}, its column '{column}' has {size} values")
        try:
            found = rows[before]
        except IndexError:
            continue
        expect(False, f"'{name}' has {before} rows, but there is a row {before}: {str(found)[:200]}")


@CHECKS.add("inarch.Rows")
def rows_do_not_depend_on_the_order(case: DatasetCase) -> None:
    """A row is the same whenever it is read: first or last, once or twice, whatever the random generators are at."""
    for _, name, rows in case.tables():
        size = min(MOST, len(rows))
        with drawing_is_seen() as drawn:
            first = list(read(rows))
            backwards = list(read(rows, range(size)[::-1]))[::-1]
        expect(
            not drawn, f"reading '{name}' draws from the generators of {drawn}: what is random belongs in transforms"
        )
        found = difference(first, backwards, exact=True) or difference(first, list(read(rows)), exact=True)
        expect(not found, f"of '{name}', {found}")


@CHECKS.add("inarch.Rows")
def rows_agree_with_columns(case: DatasetCase) -> None:
    """`rows[i]`, `rows.column(name)[i]` and a selection's rows are the same values."""
    for _, name, rows in case.tables():
        whole = list(read(rows))
        for column in rows.columns:
            found = difference([row[column] for row in whole], rows.column(column)[: len(whole)], exact=True)
            expect(not found, f"'{name}', row by row and by the column '{column}': {found}")
        order = [len(rows) - 1, 0]
        chosen = rows.select(order)
        found = difference([rows[index] for index in order], [chosen[0], chosen[1]], exact=True)
        expect(not found, f"'{name}', selected: {found}")


@CHECKS.add("inarch.Rows")
def rows_are_fresh(case: DatasetCase) -> None:
    """Whoever changes a row that was read changes nothing: the next reader gets the data's."""
    for _, name, rows in case.tables():
        before, again = pickle.loads(pickle.dumps(rows[0])), rows[0]
        for column, value in again.items():
            if isinstance(value, list):
                value.append("changed")
            elif isinstance(value, dict):
                value["changed"] = True
            elif hasattr(value, "fill"):
                value.fill(0)
            again[column] = "changed"
        found = difference(before, rows[0], exact=True)
        expect(not found, f"of '{name}', {found}")


@CHECKS.add("inarch.Rows")
def rows_can_be_pickled(case: DatasetCase) -> None:
    """Splits can be pickled, as a process that is spawned needs them, and the copy has the same rows and places."""
    for _, name, rows in case.tables():
        try:
            again = pickle.loads(pickle.dumps(rows))
        except Exception as error:
            expect(False, f"'{name}': {type(error).__name__}: {error}")
        found = difference(list(read(rows)), list(read(again)), exact=True)
        expect(not found, f"'{name}' as a copy: {found}")
        expect(rows.where(0) == again.where(0), f"'{name}': row 0 is from {rows.where(0)}, in a copy {again.where(0)}")


@CHECKS.add("inarch.Rows")
def workers_read_the_same(case: DatasetCase) -> None:
    """Worker processes that read at the same time read the same rows: they share no place in a file."""
    for _, name, rows in case.tables():
        wanted = [repr(row) for row in read(rows)]
        for found in in_workers(rows):
            told = difference(wanted, found)
            expect(not told, f"'{name}' in a worker: {told}")


@CHECKS.add("inarch.Rows.where")
def places_are_told(case: DatasetCase) -> None:
    """`where` names the place of each row, a text that no other row has."""
    for _, name, rows in case.tables():
        places = [rows.where(index) for index in range(min(MOST, len(rows)))]
        expect(all(isinstance(place, str) and place for place in places), f"'{name}': a place is {places[0]!r}")
        expect(len(set(places)) == len(places), f"'{name}': two rows are both from {max(places, key=places.count)}")


@CHECKS.add("inarch.Dataset.files")
def files_are_there(case: DatasetCase) -> None:
    """The values of columns that hold names of files are whole paths of files that there are."""
    tables = case.tables()
    if not tables[0][0].files:
        skip("its columns hold no names of files")
    for dataset, name, rows in tables:
        for row in read(rows):
            for column in dataset.files:
                path = Path(row[column])
                expect(
                    isinstance(row[column], str) and path.is_absolute(), f"'{name}': {row[column]!r} is no whole path"
                )
                expect(path.is_file(), f"'{name}': there is no file {path}")


@CHECKS.add("inarch.Dataset.splits")
def splits_are_disjoint(case: DatasetCase) -> None:
    """No input is in two splits: what was trained on measures nothing."""
    tables = case.tables()
    if len(tables) < 2:
        skip("it brings one split alone, which the core cuts")
    found = {name: contents(dataset, rows) for dataset, name, rows in tables}
    for one, other in combinations(found, 2):
        both = [row for row, content in enumerate(found[one]) if content in set(found[other])]
        place = dict((name, rows) for _, name, rows in tables)[one].where(both[0]) if both else ""
        expect(not both, f"'{one}' and '{other}' share {len(both)} inputs; the first: {place}")


@CHECKS.add("inarch.Dataset.group")
def groups_are_not_cut(case: DatasetCase) -> None:
    """No value of the `group` column is in two splits that the data set brings."""
    tables = case.tables()
    group = tables[0][0].group
    if group is None or len(tables) < 2:
        skip("it has no group, or one split alone")
    found = {name: {str(value) for value in rows.column(group)} for _, name, rows in tables}
    for one, other in combinations(found, 2):
        both = sorted(found[one] & found[other])
        expect(not both, f"'{one}' and '{other}' share the '{group}' {listing(both, 3)}")


@CHECKS.add("inarch.Dataset.classes")
def classes_name_the_targets(case: DatasetCase) -> None:
    """Where `classes` are told, each raw target is in exactly one of them."""
    dataset = case.built()
    if not dataset.classes:
        skip("it tells no classes: they are the sorted values of train")
    values = [str(raw) for raws in dataset.classes.values() for raw in raws]
    twice = sorted({value for value in values if values.count(value) > 1})
    expect(not twice, f"{listing(twice)} means two classes")
    for name, rows in dataset.splits.items():
        for row in read(rows):
            target = row[dataset.target]
            for value in split_labels(target) if isinstance(target, list | tuple) else [str(target)]:
                expect(value in values, f"'{name}' has the target '{value}', which is in no class: {listing(values)}")


@CHECKS.add("inarch.hookspecs.register_datasets")
def built_twice_is_the_same(case: DatasetCase) -> None:
    """Built again, here or in another process, it has the same rows and classes in the same order."""
    with drawing_is_seen() as drawn:
        here = digest(case.built())
    expect(not drawn, f"building it draws from the generators of {drawn}, or seeds them")
    expect(digest(case.built()) == here, "built twice in this process, it is not the same")
    expect(case.digest_elsewhere() == here, "in another process it is not the same: a set has another order there")


@CHECKS.add("inarch.hookspecs.register_datasets")
def what_is_missing_is_told(case: DatasetCase) -> None:
    """A path where nothing is is refused by an InarchError that names it, unless the data set makes what is there."""
    options = case.options
    named = {name: _elsewhere(value) for name, value in options.items() if _elsewhere(value) != value}
    if not named:
        skip("no option of the trial names a file or folder")
    for name, value in named.items():
        try:
            case.built({**options, name: value})
        except InarchError as error:
            expect(Path(MISSING).name in str(error), f"{name}: the message does not name {MISSING}: {error}")
        except Exception as error:
            expect(False, f"{name}: {type(error).__name__}: {error}")
        else:
            expect(Path(MISSING).exists(), f"{name}: {MISSING} is not there, and it was built all the same")


@CHECKS.add("inarch.Stream")
def streams_read_again(case: DatasetCase) -> None:
    """A stream yields as many rows as its length, the same each time, with the same seed in the same order."""
    for name, stream in case.streams():
        for seed in (None, 3):
            first, second = list(stream.read(seed, 0)), list(stream.read(seed, 0))
            expect(len(first) == len(stream), f"'{name}' has a length of {len(stream)}, and yields {len(first)} rows")
            found = difference(first, second, exact=True)
            expect(not found, f"'{name}', seed {seed}, read twice: {found}")
        plain, other = (sorted(map(repr, stream.read(seed, 0))) for seed in (None, 3))
        expect(plain == other, f"'{name}' has other rows when it is shuffled")


@CHECKS.add("inarch.Stream")
def streams_go_on_in_the_middle(case: DatasetCase) -> None:
    """A stream that is read from a place on yields what follows that place, so that a training can be resumed."""
    for name, stream in case.streams():
        start = len(stream) // 2
        for seed in (None, 3):
            whole, rest = list(islice(stream.read(seed, 0), start, None)), list(stream.read(seed, start))
            found = difference(whole, rest, exact=True)
            expect(not found, f"'{name}', seed {seed}, from row {start} on: {found}")


def _elsewhere(value: Any) -> Any:
    """Return an option whose paths are replaced by one where nothing is; the option itself where it has none."""
    if isinstance(value, Mapping):
        return {key: _elsewhere(part) for key, part in value.items()}
    if isinstance(value, str | Path) and str(value) and (Path(value).is_absolute() or Path(value).exists()):
        return str(Path(MISSING).absolute())
    return value
