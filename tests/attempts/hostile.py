"""Safe by default: weights with code and bundles made to harm. Nothing runs, hangs, or is lost.

Each trial must end well or in one clear message, in a minute, in 2 GB beyond what the process holds.
"""

import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from attempts.case import Case
from attempts.case_fuzz import fuzz_bundles, seal
from attempts.case_limits import counted, tried
from attempts.case_payloads import FORMATS, bomb, with_code
from attempts.case_small_runs import trained

import inarch
from inarch import document, plugins

SAFE = "9 safe by default"


def cases(full: bool) -> list[Case]:
    """Return the attempts; in the suite a few hundred of the 6,000 mutated bundles."""
    found = [
        Case(SAFE, "weights that would run code", weights_with_code),
        Case(SAFE, "bundles that are not what they say", bundles),
        Case(SAFE, "bundles, mutated", partial(_fuzzed, 6000 if full else 200)),
    ]
    return [*found, Case(SAFE, "models of each domain that would run code", models_with_code)] if full else found


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


def _fuzzed(count: int, folder: Path) -> int:
    bundle = trained(folder) / "model"
    return counted(lambda: fuzz_bundles(bundle, folder, count), folder)
