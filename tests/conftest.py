"""What tests share: a small table of vectors, a recipe over it, tiny models, a cache of their own, the command line."""

import gc
import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest

# Before torch is imported: two test processes share two cores, and bits depend on the number of threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

TOY = Path(__file__).parent / "toy"
OFFLINE = Path(__file__).parent / "offline" / "sitecustomize.py"
runpy.run_path(str(OFFLINE))


def pytest_collection_finish() -> None:
    """What was imported stays: looking through 800,000 objects again and again takes a third of the tests' time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def offline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reaches beyond this machine, nor does a process that it starts; trying fails the suite."""
    reached = tmp_path_factory.mktemp("offline") / "reached"
    os.environ["INARCH_REACHED"] = str(reached)
    yield
    assert not reached.exists(), f"these wanted the network:\n{reached.read_text(encoding='utf-8')}"


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test writes into the user's cache; processes that a test starts inherit this."""
    os.environ["INARCH_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ.pop("INARCH_CACHE_LIMIT", None)


def write_vectors(path: Path, rows: int = 60, seed: int = 0) -> Path:
    """Write a table of vectors with a class, a number and a group that can be learnt from them."""
    random = np.random.default_rng(seed)
    lines = ["vector,class,number,group"]
    for index in range(rows):
        vector = random.normal(size=4)
        name = "warm" if vector[0] + 0.5 * vector[1] > 0 else "cold"
        lines.append(f"{' '.join(f'{v:.4f}' for v in vector)},{name},{3 * vector[0] - vector[2]:.4f},g{index % 12}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    """A table of 60 vectors."""
    return write_vectors(tmp_path / "vectors.csv")


RECIPE = """\
name: toy
dataset: {{name: table, path: {path}, input: vector, target: class}}
backbone: vectors
head: classifier
strategy: full
metrics: [accuracy]
train: {{epochs: 2, batch_size: 8, learning_rate: 0.02, workers: 0, precision: fp32}}
"""


@pytest.fixture
def toy_recipe(tmp_path: Path, vectors: Path) -> Path:
    """A recipe of a second's training over the table of vectors."""
    path = tmp_path / "toy.yaml"
    path.write_text(RECIPE.format(path=vectors), encoding="utf-8")
    return path


@pytest.fixture
def letters(tmp_path: Path) -> Path:
    """A recipe of a second's training over a table of 90 texts of 3 to 30 letters; `low` ones are of a to e."""
    random = np.random.default_rng(0)
    lines = ["text,class,number"]
    for index in range(90):
        low = index % 2
        text = "".join(random.choice(list("abcde" if low else "defgh"), random.integers(3, 31)))
        lines.append(f"{text},{'low' if low else 'high'},{low + random.random() / 10:.3f}")
    (tmp_path / "letters.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    path = tmp_path / "letters.yaml"
    written = RECIPE.replace("vector", "text", 1).replace("toy", "letters").replace("vectors", "letters")
    path.write_text(written.format(path=tmp_path / "letters.csv"), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return the folder of a family's tiny model of text: ``tiny("bert")``."""
    from tiny_models import save  # brings transformers

    return cache(lambda name: save(name, tmp_path_factory.mktemp(name)))


Inarch = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def inarch(tmp_path: Path) -> Inarch:
    """Run the command line in a process of its own, in an empty folder: ``inarch("train", recipe)``."""

    def run(
        *arguments: object, env: dict[str, str] | None = None, timeout: float = 120
    ) -> "subprocess.CompletedProcess[str]":
        paths = os.pathsep.join([str(TOY), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "NO_COLOR": "1", **(env or {})}
        command = [sys.executable, "-m", "inarch", *map(str, arguments)]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=timeout, check=False
        )

    return run


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slow tests: what other processes of the suite do meanwhile is not waited for at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
