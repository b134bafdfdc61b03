"""A source model: a run's bundle, whose backbone another run begins from. Light: imports no torch.

A recipe names the run where any weights may stand, ``weights: runs/NAME``. The core loads them, whatever the plugin.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inarch.addresses import locate
from inarch.checkpoint import MANIFEST
from inarch.description import DESCRIPTION, WEIGHTS, files_of, read_description
from inarch.errors import RunError, WeightsError
from inarch.schema import plain

_APART = ("weights", "files")  # options that say where weights are, not what is done with them


@dataclass(frozen=True)
class Source:
    """A verified bundle."""

    directory: Path
    description: Mapping[str, Any]

    def options(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return a builder's options: the bundle's files (a tokenizer) are taken, and its path is absolute."""
        return {**given, "weights": str(self.directory), **files_of(self.directory)}

    def refuse_other(self, name: str, options: Mapping[str, Any]) -> None:
        """Raise WeightsError unless a builder and its model are those of the bundle, and its weights are whole."""
        told = self.description["backbone"]
        there, here = (_called(given.get("model")) for given in (told["options"], options))
        if (told["name"], there) != (name, here):
            raise WeightsError(
                f"{self.directory} holds a backbone {_label(told['name'], there)}, the recipe names "
                f"{_label(name, here)}: a source model is of the same builder and model"
            )
        if "strategy" in self.description:
            raise WeightsError(
                f"{self.directory} holds adapters apart from the weights that they belong to; train it with "
                "strategy.merge=true, then it can be a source model"
            )

    def differences(self, resolved: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Return the options that a backbone has otherwise than the bundle's has: name to [there, here]."""
        there, here = self.description["backbone"]["options"], plain(dict(resolved))
        names = [name for name in here if name in there and name not in _APART and here[name] != there[name]]
        return {name: [there[name], here[name]] for name in names}

    def facts(self, resolved: Mapping[str, Any]) -> dict[str, Any]:
        """Return for `environment.json` where a backbone's weights came from, and what was different there."""
        return {
            "bundle": str(self.directory),
            "recipe": self.description.get("recipe"),
            "weights_sha256": self.description.get("weights_sha256"),
            "differs": self.differences(resolved),
        }


def find(address: Any) -> Source | None:
    """Return the bundle that an address of weights names, itself or by its run; None: it names something else.

    One that is damaged or missing is an InarchError.
    """
    if not isinstance(address, str) or address in ("", "pretrained", "none"):
        return None
    path = locate(address, WeightsError)
    for folder in (path, path / "model"):
        if (folder / DESCRIPTION).is_file() or ((folder / WEIGHTS).is_file() and (folder / MANIFEST).is_file()):
            return Source(folder.resolve(), read_description(folder))
    if path.is_dir() and (path / "recipe.yaml").is_file() and (path / "environment.json").is_file():
        raise RunError(f"{address}: the run has no bundle yet; it ends with `inarch train ... --out {path} --resume`")
    return None


def spell(differences: Mapping[str, list[Any]]) -> str:
    """Say which options differ: `image_size 160 there, 224 here`."""
    return "; ".join(f"{name} {there} there, {here} here" for name, (there, here) in differences.items())


def _label(name: str, model: str | None) -> str:
    return f"'{name}'" if model is None else f"'{name}' with model {model}"


def _called(model: Any) -> str | None:
    """Return what a model is called: of a folder the name, for a bundle brings its files, whoever made it where."""
    return model if model is None or not str(model).startswith(("/", "./", "../", "~")) else Path(model).name
