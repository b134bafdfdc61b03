"""`inarch cache`: what is stored, and keeping it small."""

import os
from pathlib import Path

import numpy as np
import pytest
from conftest import Inarch

from inarch.features.store import Store

ABOUT = {"backbone": "plugin.Backbone", "options": {"model": "small"}, "weights": "0123456789ab", "field": "pooled"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of two tables: view 0 of 2,000 rows, used an hour ago, and view 1 of 10 rows."""
    monkeypatch.setenv("INARCH_CACHE", str(tmp_path / "cache"))
    for view, rows in enumerate((2000, 10)):
        table = Store().table({**ABOUT, "view": view})
        keys = [bytes([view]) * 24 + row.to_bytes(8, "big") for row in range(rows)]
        table.write(keys, np.ones((rows, 16), np.float32))
        then = (table.path / "table.json").stat().st_mtime - 3600 * (1 - view) - 5
        os.utime(table.path / "table.json", (then, then))
    return tmp_path / "cache" / "features"


def test_it_tells_where_the_features_are_how_large_and_when_they_were_used(inarch: Inarch, folder: Path) -> None:
    told = inarch("cache").stdout.splitlines()
    assert told[0] == f"{folder}: 202 KB of 10 GB"
    assert " ".join(told[1].split()) == "10 rows 1.35 KB just now small of weights 01234567, view 1"
    assert " ".join(told[2].split()) == "2,000 rows 200 KB 1 hour ago small of weights 01234567"


def test_a_cache_that_is_empty_is_told_so(inarch: Inarch, tmp_path: Path) -> None:
    done = inarch("cache", env={"INARCH_CACHE": str(tmp_path / "new")})
    assert (done.returncode, done.stdout) == (0, f"{tmp_path}/new/features: 0 bytes of 10 GB\n")
    assert not (tmp_path / "new").exists()


def test_a_limit_is_kept_and_what_was_used_least_recently_goes(inarch: Inarch, folder: Path) -> None:
    told = inarch("cache", "--limit", "100kB").stdout.splitlines()
    assert told[0].endswith("1.35 KB of 100 KB")
    assert len(told) == 2
    assert "view 1" in told[1]
    assert inarch("cache").stdout.splitlines() == told


def test_the_environment_says_another_limit(inarch: Inarch, folder: Path) -> None:
    assert " of 1.5 GB" in inarch("cache", "--limit", "2GB", env={"INARCH_CACHE_LIMIT": "1.5 gb"}).stdout


def test_all_can_be_removed(inarch: Inarch, folder: Path) -> None:
    assert inarch("cache", "--clear").stdout.splitlines() == [f"{folder}: 0 bytes of 10 GB"]
    assert list(folder.iterdir()) == []


def test_what_is_damaged_is_told_and_left_out(inarch: Inarch, folder: Path) -> None:
    [shard] = (Store().tables()[0].path).glob("*.safetensors")
    content = bytearray(shard.read_bytes())
    content[-1000] ^= 1
    shard.write_bytes(content)
    told = inarch("cache", "--verify").stdout
    assert f"{shard}: damaged" in told
    assert "1,999 rows" in told
    assert ": damaged" not in inarch("cache", "--verify").stdout


@pytest.mark.parametrize("size", ["much", "-1GB", "2XB", ""])
def test_what_is_no_size_is_an_error_that_shows_one(inarch: Inarch, folder: Path, size: str) -> None:
    done = inarch("cache", "--limit", size)
    assert done.returncode == 2
    assert done.stderr == f"Error: --limit: '{size}' is not a size; write for example 500MB, 2GB or 1.5GiB\n"
    done = inarch("cache", env={"INARCH_CACHE_LIMIT": "plenty"})
    assert done.stderr.startswith("Error: INARCH_CACHE_LIMIT: 'plenty' is not a size")


def test_a_cache_that_cannot_be_changed_is_an_error(inarch: Inarch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = inarch("cache", "--limit", "1GB", env={"INARCH_CACHE": str(tmp_path / "file")})
    assert done.returncode == 2
    place = f"{tmp_path}/file"
    assert done.stderr == f"Error: {place}/features: features cannot be kept here: {place} is a file\n"


def test_it_starts_without_torch(folder: Path, inarch: Inarch, tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('torch was imported')")
    assert inarch("cache", env={"PYTHONPATH": str(tmp_path)}).returncode == 0
