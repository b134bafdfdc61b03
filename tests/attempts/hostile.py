"""Safe by default: weights with code, bundles, recipes, data and plugins made to harm. Nothing runs, hangs, or is lost.

Each trial must end well or in one clear message, in a minute, in 2 GB beyond what the process holds.
"""

import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.parquet
from attempts.case import Case
from attempts.case_fuzz import fuzz_bundles, fuzz_recipes, seal
from attempts.case_limits import read, tried
from attempts.case_payloads import FORMATS, bomb, with_code
from conftest import RECIPE, write_vectors

import inarch
from inarch import document, plugins, recipe
from inarch.data.folder import folder as folder_data
from inarch.data.table import table
from inarch.workflows.predict import predict

SAFE = "9 safe by default"


def cases(full: bool) -> list[Case]:
    """Return the attempts; in the suite a few hundred of the 10,000 mutated recipes and bundles, and small files."""
    found = {
        "weights that would run code": weights_with_code,
        "models of each domain that would run code": models_with_code,
        "bundles that are not what they say": bundles,
        "tables and folders that lead elsewhere": leading_elsewhere,
        "recipes that should not be read": recipes,
        "data that claims or holds too much": partial(too_much, 100 if full else 8),
        "plugins that fail in each hook": partial(failing_hooks, EXCEPTIONS if full else EXCEPTIONS[:2]),
        "recipes, mutated": partial(_fuzzed_recipes, 6000 if full else 200),
        "bundles, mutated": partial(_fuzzed_bundles, 6000 if full else 200),
    }
    left_out = () if full else ("models of each domain that would run code",)
    pictures = [Case(SAFE, "pictures and sounds that claim too much", _media)] if full else []
    return [Case(SAFE, name, run) for name, run in found.items() if name not in left_out] + pictures


def trained(folder: Path, **changes: Any) -> Path:
    """Train the toy; return its run."""
    path = folder / "toy.yaml"
    path.write_text(RECIPE.format(path=write_vectors(folder / "vectors.csv")), encoding="utf-8")
    inarch.train(path, changes, out=folder / "run")
    return folder / "run"


def weights_with_code(folder: Path) -> int:
    trace = folder / "trace"
    for name, write in FORMATS.items():
        for suffix in (".pt", ".bin", ".safetensors"):
            path = folder / f"{name}{suffix}"
            write(path, trace)
            assert path.name in tried(partial(inarch.read_state, path))
            assert not trace.exists(), path
    bomb(folder / "bomb.pt")
    assert "weights are not compressed" in tried(partial(inarch.read_state, folder / "bomb.pt"))
    os.mkfifo(folder / "pipe.pt")
    assert "found a pipe" in tried(partial(inarch.read_state, folder / "pipe.pt"))
    assert "found a device" in tried(partial(inarch.read_state, "/dev/zero"))
    return 3 * len(FORMATS) + 3


def models_with_code(folder: Path) -> int:
    """The same, by way of every library that opens models."""
    from tiny_audio import save as save_audio
    from tiny_models import save

    trace, count = folder / "trace", 0
    _load_weights("timm", model="resnet18", weights="none")  # what it imports, every trial has
    _load_weights("torchaudio", model="WAV2VEC2_BASE", weights="none")
    for number, (name, write) in enumerate(FORMATS.items()):
        write(folder / f"{number}.pt", trace)
        for backbone, model in (("timm", "resnet18"), ("torchvision", "resnet18"), ("torchaudio", "WAV2VEC2_BASE")):
            opened = partial(_load_weights, backbone, model=model, weights=str(folder / f"{number}.pt"))
            assert tried(opened), (name, backbone)
            assert not trace.exists(), (name, backbone)
            count += 1
    made = {"text": save("bert", folder / "bert"), "audio": folder / "audio"}
    save_audio("wav2vec2", folder / "audio")
    for domain, model in made.items():
        entry, options = ("transformers", {}) if domain == "text" else ("transformers_audio", {"duration": 1.0})
        assert tried(partial(_load_weights, entry, model=str(model), **options)) == "", domain
        for name, write in FORMATS.items():
            for file in ("pytorch_model.bin", "model.safetensors", "model.bin", "tokenizer.pkl"):
                hostile = shutil.copytree(model, folder / f"{domain} {name} {file}")
                (hostile / "model.safetensors").unlink()
                write(hostile / file, trace)
                assert tried(partial(_load_weights, entry, model=str(hostile), **options)), (name, file)
                assert not trace.exists(), (domain, name, file)
                count += 1
        hostile = shutil.copytree(model, folder / f"{domain} own")
        with_code(hostile, trace)
        assert "code" in tried(partial(_load_weights, entry, model=str(hostile), **options))
        assert not trace.exists(), domain
        count += 1
    return count


def _load_weights(name: str, **options: Any) -> None:
    entry = plugins.loaded().find("backbones", name, "here")
    bound = inarch_bind(entry, options)
    backbone = plugins.build(entry, bound)
    backbone.load_weights()


def inarch_bind(entry: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Return options as a recipe has them."""
    from inarch.schema import bind

    return bind(entry.build, options, document.Document("here", {}), ())


def bundles(folder: Path) -> int:
    run = trained(folder)
    (folder / "secret").write_text("{}")
    changes: dict[str, tuple[Callable[[Path], Any], bool, str]] = {
        "a byte": (lambda b: _flip(b / "model.safetensors"), False, "does not match its hash"),
        "no manifest": (lambda b: (b / "manifest.json").unlink(), False, "no valid manifest"),
        "an empty manifest": (lambda b: (b / "manifest.json").write_text('{"files": {}}'), False, "lists no file"),
        "weights not listed": (lambda b: _list(b, "model.safetensors", None), False, "does not list model.safetensors"),
        "a file more": (lambda b: (b / "more.bin").write_bytes(b"x"), False, "does not list more.bin"),
        "../ in the manifest": (lambda b: _list(b, "../secret", b"{}"), False, "lies elsewhere"),
        "an absolute path": (lambda b: _list(b, str(folder / "secret"), b"{}"), False, "lies elsewhere"),
        "a link to a device": (lambda b: _relink(b / "model.safetensors", "/dev/zero"), False, "is a device"),
        "a link to another file": (lambda b: _relink(b / "model.safetensors", folder / "secret"), False, "has 2 bytes"),
        "a link to a folder": (lambda b: (b / "backbone").symlink_to(folder), False, "is a link to a folder elsewhere"),
        "a pipe": (lambda b: os.mkfifo(b / "pipe"), False, "pipe is a pipe"),
        "a pipe for a manifest": (lambda b: _pipe(b / "manifest.json"), False, "manifest.json is a pipe"),
        "a description of 100,000 levels": (lambda b: (b / "bundle.json").write_text("[" * 100_000), True, "not JSON"),
        "a list": (lambda b: (b / "bundle.json").write_text("[]"), True, "expected a mapping"),
        "a huge model": (lambda b: _say(b, "backbone", width=1_000_000), True, "far more than model.safetensors"),
        "an endless model": (lambda b: _say(b, "backbone", depth=10**9), True, "far more than model.safetensors"),
        "weights elsewhere": (lambda b: _say(b, "backbone", weights="../../secret"), True, ""),
        "an unknown component": (lambda b: _say(b, "head", name="os.system"), True, "unknown option 'name'"),
    }
    for write in FORMATS.values():
        name = f"a pickle for weights {len(changes)}"
        pickled = partial(lambda b, w: w(b / "model.safetensors", folder / "trace"), w=write)
        changes[name] = (pickled, True, "not a weights file")
    for number, (name, (change, sealed, expected)) in enumerate(changes.items()):
        bundle = shutil.copytree(run / "model", folder / str(number))
        change(bundle)
        if sealed:
            seal(bundle)
        told = tried(partial(inarch.load, bundle))
        assert expected in told and bool(told) == bool(expected), (name, told)
    assert not (folder / "trace").exists()
    assert tried(partial(inarch.load, run)) == ""
    return len(changes)


def _flip(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def _list(bundle: Path, name: str, content: bytes | None) -> None:
    import hashlib

    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["files"].pop(name, None)
    if content is not None:
        manifest["files"][name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def _relink(path: Path, goal: object) -> None:
    path.unlink()
    path.symlink_to(str(goal))


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _say(bundle: Path, part: str, **options: Any) -> None:
    told = json.loads((bundle / "bundle.json").read_text())
    told[part]["options"] |= options
    (bundle / "bundle.json").write_text(json.dumps(told))


def leading_elsewhere(folder: Path) -> int:
    home = folder / "home"
    home.mkdir()
    for place in (folder / "secret.txt", home / "own.txt"):
        place.write_text("x")
    rows = {"../secret.txt": "Write the whole path", "a/../../secret.txt": "Write the whole path", "own.txt": "",
            "./a/../own.txt": "", str(folder / "secret.txt"): ""}  # fmt: skip
    (home / "a").mkdir()
    for name, expected in rows.items():
        (home / "t.csv").write_text(f"file,class\nown.txt,x\n{name},y\n")
        told = tried(partial(table, path=str(home / "t.csv"), input="file", target="class"))
        assert expected in told and bool(told) == bool(expected), told
    for name in ("x.zip", "x.tar.gz", "x.7z"):
        (folder / name).write_bytes(b"PK")
        assert "Archives are not opened" in tried(partial(table, path=str(folder / name), input="a", target="b"))
        assert "wants a folder" in tried(partial(folder_data, path=str(folder / name)))
    os.mkfifo(folder / "pipe.csv")
    assert "not a table" in tried(partial(table, path=str(folder / "pipe.csv"), input="a", target="b"))
    assert "expected package:" in tried(partial(inarch.read_state, "package:numpy/../../../etc/passwd"))
    knot = folder / "knot"
    for one in range(12):  # 12! ways through them
        (knot / str(one)).mkdir(parents=True)
        (knot / str(one) / "own.txt").write_text("1 2 3 4")
        for other in range(12):
            (knot / str(one) / f"to{other}").symlink_to(knot / str(other))
    (knot / "itself").symlink_to("itself")
    assert len(list(folder_data(path=str(knot)).splits["train"].column("file"))) == 12
    run = trained(folder)
    assert tried(lambda: len(list(predict(run, [str(knot)]))) == 13 or 1 / 0) == ""
    return len(rows) + 11


def recipes(folder: Path) -> int:
    valid = RECIPE.format(path="x.csv")
    texts = {
        "a tag": ("a: !!python/object/apply:os.mkdir [trace]", "not allowed"),
        "a tag by another name": ("%TAG ! tag:yaml.org,2002:\n---\na: !python/name:os.system", "not allowed"),
        "billion laughs": ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]", "anchors and aliases"),
        "levels": ("a: " + "[" * 100_000, "nested more than 50 levels"),
        "levels of blocks": ("".join(" " * level + "a:\n" for level in range(900)), "nested more than 50 levels"),
        "closed levels": ("a: " + "{a: " * 100_000 + "}" * 100_000, "nested more than 50 levels"),
        "values": ("a: [" + "1," * 490_000 + "]", "more than 100,000 values"),
        "metrics": (
            valid.replace("[accuracy]", "[" + ",".join(f"m{n}" for n in range(40_000)) + "]"),
            "unknown metric",
        ),
        "10 MB": ("#" * 10_000_000, "larger than 1,000,000 bytes"),
        "a steered terminal": ('"\\e]0;mine\\a\\e[2J": 1', "unknown key '\\x1b]0;mine\\x07\\x1b[2J'"),
        "two lines": ('"a\\nError: b": 1', "unknown key 'a\\nError: b'"),
        "a long key": (f'? "{"x" * 900_000}"\n: 1', "characters]"),
        "binary": ("\x7fELF\0", "not text"),
    }
    for name, (text, expected) in texts.items():
        (folder / "r.yaml").write_text(text, encoding="utf-8")
        told = tried(lambda: plugins.check(recipe.load(folder / "r.yaml")))
        assert expected in told and len(told) < 5000, (name, told[:200])
    os.mkfifo(folder / "pipe")
    (folder / "bytes").write_bytes(bytes(range(128, 256)))
    for path, expected in {"/dev/zero": "found a device", folder: "found a folder", folder / "pipe": "found a pipe",
                           folder / "bytes": "not UTF-8", folder / "none": "no such file"}.items():  # fmt: skip
        assert expected in tried(partial(recipe.load, path))
    (folder / "r.yaml").write_text(valid)
    for override in ("a." * 60_000 + "a=1", "train=" + "[" * 50_000, "train.epochs=!!python/name:os.system x"):
        assert tried(partial(recipe.load, folder / "r.yaml", [override]))
    assert not Path("trace").exists()
    return len(texts) + 8


def too_much(megabytes: int, folder: Path) -> int:
    count = 0
    size = megabytes * 1_000_000
    texts = {"cell.csv": f"text,class\n{'x' * size},a\n", "open.csv": f'text,class\n"{"x" * size}',
             "zero.csv": "text,class\na\0b,\0\n", "columns.csv": ",".join(map(str, range(100_000))) + "\n",
             "deep.jsonl": "[" * 100_000, "deep.jsonl ": '{"text": ' + "[" * 100_000,
             "wide.jsonl": '{"text": "' + "x" * size + '"}'}  # fmt: skip
    for name, text in texts.items():
        (folder / name.strip()).write_text(text, encoding="utf-8")
        told = tried(partial(table, path=str(folder / name.strip()), input="text", target="class"))
        assert name in ("cell.csv", "zero.csv") or name.strip() in told, (name, told[:300])
        assert len(told) < 5000
        count += 1
    pa.parquet.write_table(pa.table({"text": ["a"] * 50, "class": ["b"] * 50}), folder / "t.parquet")
    whole = (folder / "t.parquet").read_bytes()
    for at in range(0, len(whole), len(whole) // (60 if megabytes > 10 else 12)):
        for change in (b"\xff\xff\xff\x7f", b"\0"):
            (folder / "t.parquet").write_bytes(whole[:at] + change + whole[at + len(change) :])
            tried(partial(table, path=str(folder / "t.parquet"), input="text", target="class"))
            count += 1
    return count


def _media(folder: Path) -> int:
    from attempts.case_media import pictures, sounds

    return pictures(folder, read) + sounds(folder, read)


EXCEPTIONS = (ValueError("a\x1b[2Jb"), SystemExit(0), RecursionError("deep"), MemoryError(), inarch.RunError("mine"))


def _load(into: plugins.Plugins, *told: str) -> None:
    plugin = plugins.Plugin(*told)
    assert into.note(plugin)
    into.load(plugin)


def failing_hooks(exceptions: Sequence[BaseException], folder: Path) -> int:
    count = 0
    registers = [f"register_{kind}" for kind in (*plugins.KINDS, "commands")]
    for hook, error in ((hook, error) for hook in registers for error in exceptions):
        found = plugins.Plugins()
        _load(found, "core", "inarch.builtin", "inarch", "1")
        with _module(hook, error) as name:
            _load(found, "evil", name, "evil-dist", "6.6")
            if hook == "register_commands":
                from inarch.cli import extra

                extra.loaded, kept = lambda found=found: found, extra.loaded
                assert extra.commands(()) == {}
                extra.loaded = kept
        reason = found.known["evil"].error or ""
        assert type(error).__name__ in reason and reason.isprintable(), (hook, reason)
        assert found.known["core"].error is None and "accuracy" in found.components["metrics"]
        count += 1
    expected = trained(folder)
    for hook in ("on_train_begin", "on_epoch_end", "on_train_end"):
        for number, error in enumerate(exceptions):
            _fails_and_resumes(folder, folder / f"{hook}{number}", hook, error, expected)
            count += 1
    return count


def _fails_and_resumes(folder: Path, out: Path, hook: str, error: BaseException, expected: Path) -> None:
    """A run that a plugin ends says which; without the plugin it goes on to the same result."""
    with _module(hook, error) as name:
        _load(plugins.loaded(), "evil", name, "evil-dist", "6.6")
        try:
            inarch.train(folder / "toy.yaml", out=out)
            raise AssertionError(f"{hook} failed, and nobody was told")
        except inarch.InarchError as told:
            words = str(told)
        finally:
            plugins.loaded().remove("evil")
    assert words.isprintable(), words
    assert isinstance(error, inarch.InarchError) or f"plugin 'evil' (evil-dist 6.6): {hook} failed" in words, words
    if hook != "on_train_end":
        inarch.train(folder / "toy.yaml", out=out, resume=True)
    for file in ("metrics.jsonl", "model/model.safetensors"):
        assert (out / file).read_bytes() == (expected / file).read_bytes(), (hook, file)
    assert (out / "results.json").exists()


class _module:
    """A module whose only hook raises."""

    def __init__(self, hook: str, error: BaseException) -> None:
        self.name = f"evil_{hook}"
        parameter = {"register_commands": "cli"}.get(hook, "register" if hook.startswith("register") else "run")
        scope: dict[str, Any] = {"error": error, "hookimpl": inarch.hookimpl}
        exec(f"@hookimpl\ndef {hook}({parameter}):\n    print('x' * 1_000_000)\n    raise error\n", scope)
        self.module = ModuleType(self.name)
        setattr(self.module, hook, scope[hook])

    def __enter__(self) -> str:
        sys.modules[self.name] = self.module
        return self.name

    def __exit__(self, *_: object) -> None:
        del sys.modules[self.name]


def _fuzzed_recipes(count: int, folder: Path) -> int:
    return _counted(lambda: fuzz_recipes(folder, count), folder)


def _fuzzed_bundles(count: int, folder: Path) -> int:
    bundle = trained(folder) / "model"
    return _counted(lambda: fuzz_bundles(bundle, folder, count), folder)


def _counted(fuzz: Callable[[], int], folder: Path) -> int:
    def run() -> None:
        (folder / "tried").write_text(str(fuzz()))

    assert tried(run, seconds=3600) == ""
    return int((folder / "tried").read_text())
