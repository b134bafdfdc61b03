"""Faults of data sets."""

from functools import partial

from mutants.fault import Fault

_fault = partial(Fault, kind="datasets", file="datasets.py")
_SPLITS = 'splits={"train": rows},'
_NOISY = """\
class Noisy(Rows):
        def __getitem__(self, index):
            row = super().__getitem__(index)
            return {**row, "series": [value + random.gauss(0, 0.1) for value in row["series"]]}

    rows = Noisy("""

FAULTS = [
    _fault("another draw each time", before="random.Random(seed)", after="random.Random()",
           check="built_twice_is_the_same"),
    _fault("the global generator is seeded", before="generator = random.Random(seed)  #",
           after="generator = random.Random(seed)\n    random.seed(seed)  #", check="built_twice_is_the_same"),
    _fault("classes have the order of a set", before="classes={name: [name] for name in TEMPI}",
           after="classes={name: [name] for name in set(names)}", check="built_twice_is_the_same"),
    _fault("rows depend on the hash of a name", before='"source": [f"source_{at}" for at in sources],',
           after='"source": [f"source_{hash(str(at)) % 12}" for at in sources],', check="built_twice_is_the_same"),
    _fault("the target is no column", before='target="tempo"', after='target="speed"',
           check="splits_have_their_columns"),
    _fault("the group is no column", before='group="source"', after='group="sources"',
           check="splits_have_their_columns"),
    _fault("the target is an input", before='input="series"', after='input=("series", "tempo")',
           check="splits_have_their_columns"),
    _fault("a split has a name of its own", before=_SPLITS, after='splits={"training": rows, "train": rows},',
           check="splits_have_their_columns"),
    _fault("places are told by a lambda", before='where=(f"waves of seed {seed}, row " + "{}").format,',
           after='where=lambda index: f"waves of seed {seed}, row {index}",', check="rows_can_be_pickled"),
    _fault("all rows have one place", before='where=(f"waves of seed {seed}, row " + "{}").format,',
           after='where=f"waves of seed {seed}".format,', check="places_are_told"),
    _fault("a reader can change the data", before="{name: pa.array(values) for name, values in columns.items()}",
           after="columns", check="rows_are_fresh"),
    _fault("test is part of train", before=_SPLITS,
           after='splits={"train": rows, "test": rows.select(range(60))},', check="splits_are_disjoint"),
    _fault("splits cut through groups", before=_SPLITS,
           after='splits={"train": rows.select(range(60, examples)), "test": rows.select(range(60))},',
           check="groups_are_not_cut"),
    _fault("a class is forgotten", before="classes={name: [name] for name in TEMPI}",
           after="classes={name: [name] for name in list(TEMPI)[:2]}", check="classes_name_the_targets"),
    _fault("a column is longer than the others", before='"tempo": names,', after='"tempo": [*names, "slow"],',
           check="length_is_stable"),
    _fault("rows are augmented by the data set", before="rows = Rows(", after=_NOISY,
           check="rows_do_not_depend_on_the_order"),
]  # fmt: skip
