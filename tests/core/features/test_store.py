"""The store of features: whole or not there, for any number of processes, whatever happens to them or to its files."""

import os
from pathlib import Path

import pytest
from safetensors.numpy import load_file
from stored import ABOUT, filled, key, rows_of

from inarch.errors import RunError
from inarch.features.shards import remove_leftovers, written
from inarch.features.store import SHARDS, Store, Table, parse_size, show_size


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def shards(table: Table) -> list[Path]:
    return sorted(table.path.glob("*.safetensors"))


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 16
    path.write_bytes(content)


def test_what_was_written_is_read_in_the_order_that_is_asked_for(store: Store) -> None:
    table = filled(store, range(5), range(5, 9))
    wanted = [7, 0, 3, 8]
    values, whole = table.read([key(number) for number in wanted])
    assert values is not None
    assert whole.all()
    assert values[:, 0].tolist() == [7000, 0, 3000, 8000]
    values, whole = table.read([key(1), None, key(99)])
    assert whole.tolist() == [True, False, False]
    assert table.notes == []


def test_rows_of_one_shard_are_memory_mapped_and_may_be_changed_without_changing_the_file(store: Store) -> None:
    table = filled(store, range(9))
    values, _ = table.read([key(number) for number in range(2, 7)])
    assert values is not None
    assert not values.flags.owndata
    values[:] = 0
    again, _ = table.read([key(2)])
    assert again is not None
    assert again[0, 0] == 2000


def test_a_shard_is_a_file_that_others_can_open(store: Store) -> None:
    [shard] = shards(filled(store, range(3)))
    found = load_file(shard)
    assert found["values"].tolist() == rows_of(range(3))[1].tolist()
    assert found["keys"].shape == (3, 32)


def test_another_description_is_another_table(store: Store) -> None:
    filled(store, range(3))
    values, whole = store.table({**ABOUT, "weights": "0124"}).read([key(0)])
    assert values is None
    assert not whole.any()


@pytest.mark.parametrize("place", [-2, -40, -130])  # in a key, in the checks, in the values
def test_a_row_that_is_damaged_is_not_used_and_told(store: Store, place: int) -> None:
    table = filled(store, range(4))
    [shard] = shards(table)
    size = shard.stat().st_size
    flip(shard, {-2: size - 2, -40: size - 4 * 32 - 3, -130: size - 4 * 36 - 3}[place])
    values, whole = table.read([key(number) for number in range(4)])
    assert whole.tolist() == [True, True, True, False]
    assert values is not None
    assert values[:3].tolist() == rows_of(range(3))[1].tolist()
    assert len(table.notes) == (place != -2)  # without its key it is not found
    table.write(*rows_of(range(3, 4)))
    again = store.table(ABOUT)
    values, whole = again.read([key(number) for number in range(4)])
    assert whole.all()
    assert values is not None
    assert values[3, 0] == 3000
    assert again.notes == []


def test_a_damaged_shard_is_replaced_and_its_good_rows_stay(store: Store) -> None:
    table = filled(store, range(4))
    flip(shards(table)[0], shards(table)[0].stat().st_size - 4 * 36 - 3)
    table.read([key(3)])
    table.write(*rows_of(range(3, 4)))
    assert len(shards(table)) == 1
    assert store.table(ABOUT).read([key(number) for number in range(4)])[1].all()


@pytest.mark.parametrize("kept", [0, 5, 100, -1])
def test_a_shard_that_is_cut_off_is_not_used_and_goes(store: Store, kept: int) -> None:
    table = filled(store, range(4), range(4, 6))
    first = next(path for path in shards(table) if len(load_file(path)["keys"]) == 4)
    first.write_bytes(first.read_bytes()[:kept])
    values, whole = table.read([key(number) for number in range(6)])
    assert values is not None
    assert whole.tolist() == [False] * 4 + [True] * 2
    assert [str(first) in note for note in table.notes] == [True]
    table.write(*rows_of(range(4)))
    again = store.table(ABOUT)
    assert again.read([key(number) for number in range(6)])[1].all()
    assert again.notes == []


def test_a_file_that_is_no_shard_is_told_and_goes(store: Store) -> None:
    table = filled(store, range(4))
    (table.path / "other.safetensors").write_bytes(b"\x02" + b"\0" * 7 + b"{}")
    assert table.read([key(0)])[1].all()
    assert len(table.notes) == 1
    table.write(*rows_of(range(4, 5)))
    assert not (table.path / "other.safetensors").exists()


def test_what_is_written_in_parts_ends_as_one_shard(store: Store) -> None:
    table = store.table(ABOUT)
    for start in range(0, 9, 3):
        table.write(*rows_of(range(start, start + 3)), partial=True)
    assert len(shards(table)) == 3
    table.write(*rows_of(range(9)))
    assert len(shards(table)) == 1
    values, _ = store.table(ABOUT).read([key(number) for number in range(9)])
    assert values is not None
    assert not values.flags.owndata


def test_many_shards_are_put_together(store: Store) -> None:
    table = filled(store, *(range(number, number + 1) for number in range(SHARDS + 2)))
    assert len(shards(table)) == 1
    assert table.read([key(number) for number in range(SHARDS + 2)])[1].all()


def test_tables_that_were_used_least_recently_make_room(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INARCH_CACHE_LIMIT", "60kB")
    for number in range(3):
        store.table({"number": number}).write(*rows_of(range(100), 30))  # 16 kB each
        for table in store.tables():
            os.utime(table.path / "table.json", (table.used - 10,) * 2)
    store.table({"number": 0}).read([key(0)])
    store.table({"number": 3}).write(*rows_of(range(100), 30))
    assert sorted(table.description["number"] for table in store.tables()) == [0, 2, 3]


@pytest.mark.parametrize("limit", ["0", "10kB"])
def test_what_is_larger_than_the_limit_is_not_stored_and_nothing_goes_for_it(
    store: Store, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    filled(store, range(3))
    monkeypatch.setenv("INARCH_CACHE_LIMIT", limit)
    table = store.table({"large": True})
    table.write(*rows_of(range(100), 30))
    assert table.notes == [f"{table.path}: features are used without being stored: they need more than the "
                           f"{show_size(store.limit)} of inarch cache --limit"]  # fmt: skip
    assert [found.description for found in store.tables()] == [ABOUT]


def test_a_table_that_is_removed_while_it_is_used_stays_readable_and_is_made_anew(store: Store) -> None:
    table = filled(store, range(4))
    values, _ = table.read([key(number) for number in range(4)])
    store.remove(table.path)
    store.remove(table.path)
    assert values is not None
    assert values[3, 0] == 3000
    assert not table.read([key(0)])[1].any()
    table.write(*rows_of(range(2)))
    assert [summary.rows for summary in store.tables()] == [2]


def test_a_folder_that_cannot_be_written_to_is_told_and_nothing_is_lost(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    table = Store(tmp_path / "file").table(ABOUT)
    table.write(*rows_of(range(3)))
    table.write(*rows_of(range(3)))
    assert table.notes == [f"{table.path}: features are used without being stored: Not a directory"]
    assert table.read([key(0)])[0] is None


def test_a_file_that_is_being_written_is_not_taken_for_a_leftover(store: Store) -> None:
    table = filled(store, range(2))
    with written(table.path / "x.safetensors") as file:
        file.write(b"half")
        remove_leftovers(store.root)
        file.write(b"whole")
    assert (table.path / "x.safetensors").read_bytes() == b"halfwhole"


@pytest.mark.parametrize(
    ("text", "size"), [("500MB", 5e8), ("2 gb", 2e9), ("1.5GiB", 1.5 * 2**30), ("1000", 1e3), ("10k", 1e4), ("0", 0)]
)
def test_sizes_are_written_as_people_write_them(text: str, size: float) -> None:
    assert parse_size(text, "here") == size


def test_what_is_no_size_is_an_error() -> None:
    for text in ("", "many", "-3GB", "nan", "1e9", "3 MM"):
        with pytest.raises(RunError, match=f"here: '{text}' is not a size"):
            parse_size(text, "here")


def test_sizes_are_shown_with_three_digits() -> None:
    assert [show_size(size) for size in (0, 999, 1234, 999_600, 2e9, 3e12)] == [
        "0 bytes", "999 bytes", "1.23 KB", "1 MB", "2 GB", "3 TB"]  # fmt: skip
