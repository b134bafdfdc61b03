"""Recipes and bundles that nobody would write, thousands of them, the same ones every time."""

import copy
import hashlib
import json
import shutil
import signal
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inarch import InarchError, load, plugins, recipe

SECONDS = 20
"""What one input may take, on a machine that others use as well."""
ROOT = Path(__file__).parents[2]
ODD = [None, True, 0, -1, 1.5, 10**7, 10**300, float("nan"), float("inf"), "", " ", "x", "none", "auto", "../../x",
       "/dev/zero", "\x1b[31m", "a\nb", "\0", "\ud800", [], {}, [[]], {"": 1}, ["x"] * 50, {"name": "x"}]  # fmt: skip
NAMES = ["name", "dataset", "backbone", "head", "strategy", "metrics", "splits", "train", "seed", "options", "classes",
         "timm", "table", "folder", "hub", "classifier", "full", "lora", "accuracy", "weights", "path"]  # fmt: skip
scalars = st.sampled_from(ODD) | st.sampled_from(NAMES) | st.integers() | st.floats() | st.text(max_size=8)
values = st.recursive(
    scalars,
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=3), v),
    max_leaves=5,
)
_MARKS = [
    "- ",
    ": ",
    "\n",
    "  ",
    "[",
    "]",
    "{",
    "}",
    "!",
    "&a ",
    "*a",
    "|",
    ">",
    "'",
    '"',
    "#",
    "%",
    "\t",
    "?",
    "---\n",
]
marks = st.sampled_from([*_MARKS, "\0", "\x85", "\ufeff"])


def paths(data: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the place of everything in nested data."""
    yield above
    for key, value in data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
        yield from paths(value, (*above, key))


def changed(draw: Callable[..., Any], data: Any) -> Any:
    """Return nested data with one to three of its values replaced, removed, renamed or put in twice."""
    data = copy.deepcopy(data)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(list(paths(data))))
        if not place:
            continue
        here = data
        for key in place[:-1]:
            here = here[key]
        match draw(st.sampled_from(["replace", "remove", "rename", "wrap"])):
            case "replace":
                here[place[-1]] = copy.deepcopy(draw(values))  # or the next change would be one of the strategy
            case "remove":
                del here[place[-1]]
            case "rename" if isinstance(here, dict):
                here[str(draw(scalars))] = here.pop(place[-1])
            case _:
                here[place[-1]] = [here[place[-1]]]
    return data


def fuzz_recipes(folder: Path, count: int) -> int:
    """Try recipes: changed ones, their text cut and mended at random, and noise."""
    texts = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "recipes").glob("*/*.yaml"))]
    known = [yaml.safe_load(text) for text in texts]
    file = folder / "recipe.yaml"

    @st.composite
    def recipes(draw: Callable[..., Any]) -> bytes:
        kind = draw(st.sampled_from(["data", "data", "text", "text", "noise", "bytes"]))
        if kind == "data":
            return json.dumps(changed(draw, draw(st.sampled_from(known)))).encode()
        if kind == "text":
            text = draw(st.sampled_from(texts))
            for _ in range(draw(st.integers(1, 4))):
                at, size = draw(st.integers(0, len(text))), draw(st.sampled_from([0, 1, 5, 60]))
                text = text[:at] + draw(marks | st.text(max_size=4)) + text[at + size :]
            return text.encode("utf-8", "surrogatepass")
        if kind == "noise":
            return "".join(draw(st.lists(marks | st.sampled_from(NAMES), max_size=40))).encode()
        return draw(st.binary(max_size=80))

    def attempt(content: bytes) -> None:
        file.write_bytes(content)
        found = recipe.load(file)
        plugins.check(found)
        recipe.parse(plugins_free(found))

    return _fuzz(recipes(), attempt, count)


def plugins_free(found: recipe.Recipe) -> Any:
    """Return a recipe that was read, written and read again: what is accepted can be kept in a run."""
    from inarch import document

    return document.parse(found.to_yaml().encode("utf-8").decode(), "again")


def fuzz_bundles(bundle: Path, folder: Path, count: int) -> int:
    """Try bundles: what they say of themselves changed, their weights cut, mixed up or with another header."""
    work = folder / "bundle"
    shutil.copytree(bundle, work)
    described = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
    weights = (bundle / "model.safetensors").read_bytes()
    size = struct.unpack("<Q", weights[:8])[0]
    header = json.loads(weights[8 : 8 + size])

    @st.composite
    def bundles(draw: Callable[..., Any]) -> tuple[bytes, bytes, bool]:
        told, held = json.dumps(described).encode(), weights
        match draw(st.sampled_from(["told", "told", "told", "header", "header", "cut", "flip", "swap", "text"])):
            case "told":
                told = json.dumps(changed(draw, described)).encode()
            case "header":
                new = json.dumps(changed(draw, header)).encode()
                claimed = draw(st.sampled_from([len(new), 0, size, 2**40, 2**64 - 1]))
                held = struct.pack("<Q", claimed) + new + weights[8 + size :]
            case "cut":
                held = weights[: draw(st.integers(0, len(weights)))]
            case "flip":
                at = draw(st.integers(0, 8 + size))
                held = weights[:at] + draw(st.binary(min_size=1, max_size=3)) + weights[at + 1 :]
            case "swap":
                told, held = held, told
            case "text":
                at = draw(st.integers(0, len(told)))
                told = told[:at] + draw(st.binary(max_size=4)) + told[at + draw(st.integers(0, 9)) :]
        return told, held, draw(st.integers(0, 19)) > 0  # now and then the hashes do not fit

    def attempt(content: tuple[bytes, bytes, bool]) -> None:
        told, held, fits = content
        (work / "bundle.json").write_bytes(told)
        (work / "model.safetensors").write_bytes(held)
        if fits:
            seal(work)
        load(work)

    return _fuzz(bundles(), attempt, count)


def seal(bundle: Path) -> None:
    """Write a manifest that fits, as whoever changes a bundle can."""
    names = [path for path in sorted(bundle.rglob("*")) if path.is_file() and path.name != "manifest.json"]
    files = {
        str(path.relative_to(bundle)): {
            "bytes": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in names
    }
    (bundle / "manifest.json").write_text(json.dumps({"files": files}))


def _fuzz(inputs: Any, attempt: Callable[[Any], None], count: int) -> int:
    """Try so many inputs: each is accepted, or refused with one message."""
    tried = 0

    def late(*_: Any) -> None:
        raise AssertionError(f"one input took more than {SECONDS} s")

    signal.signal(signal.SIGALRM, late)

    @settings(max_examples=count, derandomize=True, database=None, deadline=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(inputs)
    def run(content: Any) -> None:
        nonlocal tried
        tried += 1
        signal.alarm(SECONDS)
        try:
            attempt(content)
        except InarchError as error:
            assert str(error).isprintable() and "Traceback" not in str(error), ascii(str(error))
        finally:
            signal.alarm(0)

    run()
    return tried
