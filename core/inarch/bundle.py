"""The bundle: weights, the pipeline's description, classes and hashes; opens with no network and no original weights.

The one pipeline is the backbone's evaluation transform: training evaluates through it, a bundle predicts through it.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from inarch import checkpoint
from inarch.data.inputs import Inputs
from inarch.document import Document
from inarch.errors import RunError
from inarch.interfaces.backbone import Backbone, Example
from inarch.interfaces.dataset import Targets
from inarch.model import Model, to_float
from inarch.plugins import Entry, build, loaded
from inarch.schema import bind, plain
from inarch.weights import fingerprint, load_strictly, savable

FORMAT = 1
WEIGHTS, DESCRIPTION, FILES = "model.safetensors", "bundle.json", "backbone"
AHEAD = 16  # batches of which the inputs are read together, so that those of similar length share one
TOLERANCE = 1e-3  # a larger difference between training and serving is an error; measured ones are about 1e-6


class Bundle:
    """A trained model that takes raw inputs."""

    def __init__(self, directory: Path, description: Mapping[str, Any]) -> None:
        self.directory, self.description = directory, description
        self.targets = Targets(**description["targets"])
        files = {"files": str(directory / FILES)} if (directory / FILES).is_dir() else {}
        backbone = _rebuild("backbones", description["backbone"], description, files)
        head = _rebuild("heads", description["head"], description, {}, self.targets, backbone.num_features)
        self.model = Model(backbone, head)
        load_strictly(self.model, load_file(directory / WEIGHTS), str(directory / WEIGHTS))
        self.model.eval()
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model.to(self.device)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the target values, in the order of the outputs."""
        return tuple(self.targets.classes)

    @torch.inference_mode()
    def outputs(self, inputs: Sequence[Any]) -> Any:
        """Return the head's outputs for raw inputs, first dimension as long as `inputs`."""
        read = Inputs(inputs, self.model.backbone, self.model.head.separate)
        return self._outputs([read[index] for index in range(len(inputs))])

    def predict(self, inputs: Iterable[Any], batch_size: int = 32) -> list[dict[str, Any]]:
        """Return one readable prediction per raw input (a path, a text, ...), in order; an unreadable one raises."""
        return [prediction for _, prediction in self.stream(inputs, batch_size)]

    def stream(
        self, inputs: Iterable[Any], batch_size: int = 32, skip_unreadable: bool = False
    ) -> Iterator[tuple[Any, dict[str, Any]]]:
        """Yield (raw input, prediction) in order, holding a few batches at a time.

        With `skip_unreadable` an input that cannot be read gives ``{"error": reason}``.
        """
        prepares = type(self.model.backbone).prepare is not Backbone.prepare
        remaining, ahead = iter(inputs), batch_size * (AHEAD if prepares else 1)
        while chunk := list(islice(remaining, ahead)):
            yield from zip(chunk, self._chunk(chunk, batch_size, skip_unreadable), strict=True)

    def _chunk(self, chunk: Sequence[Any], batch_size: int, skip_unreadable: bool) -> list[dict[str, Any]]:
        """Return the predictions of a chunk, made in batches of inputs of similar length."""
        inputs = Inputs(chunk, self.model.backbone, self.model.head.separate)
        found: list[dict[str, Any]] = [{} for _ in chunk]
        order = range(len(chunk)) if inputs.lengths is None else np.argsort(-inputs.lengths, kind="stable").tolist()
        for start in range(0, len(chunk), batch_size):
            read: dict[int, list[Example]] = {}
            for index in order[start : start + batch_size]:
                try:
                    read[index] = inputs[index]
                except (OSError, ValueError) as error:
                    if not skip_unreadable:
                        raise RunError(f"{str(chunk[index])[:200]}: {error}") from error
                    found[index] = {"error": str(error)}
            predicted = self._predict(list(read.values()), [chunk[index] for index in read]) if read else []
            for index, prediction in zip(read, predicted, strict=True):
                found[index] = prediction
        return found

    @torch.inference_mode()
    def _predict(self, read: Sequence[list[Example]], raws: Sequence[Any]) -> list[dict[str, Any]]:
        return self.model.predict(self._outputs(read), raws)

    def _outputs(self, read: Sequence[list[Example]]) -> Any:
        batch = self.model.backbone.collate([member for members in read for member in members])
        return to_float(self.model({name: tensor.to(self.device) for name, tensor in batch.items()}))


def load(directory: Path | str) -> Bundle:
    """Open a bundle, or the one in a run directory, after checking every file against its hash."""
    path = Path(directory)
    path = path if (path / DESCRIPTION).exists() or not (path / "model").is_dir() else path / "model"
    if not (path / DESCRIPTION).exists():
        raise RunError(
            f"{directory}: no bundle here; expected a folder such as runs/NAME/model that holds {DESCRIPTION}"
        )
    reason = checkpoint.problem(path)
    if reason:
        raise RunError(f"{path}: the bundle is damaged and is not used: {reason}")
    description = json.loads((path / DESCRIPTION).read_text(encoding="utf-8"))
    if description.get("format") != FORMAT:
        other, version = description.get("format"), description.get("inarch")
        raise RunError(f"{path}: bundle format {other}, this inarch reads {FORMAT}; install inarch {version}")
    return Bundle(path, description)


def write(directory: Path, model: Model, parts: Mapping[str, tuple[Entry, Mapping[str, Any]]], targets: Targets,
          facts: Mapping[str, Any], raw: Sequence[Any], expected: Any) -> float:  # fmt: skip
    """Write a bundle, open it again, and write into it how far its outputs are from those of the training path.

    raw: inputs as the data set gives them; expected: what evaluation in training answered to them. Returns the largest
    absolute difference; one above 1e-3 is an error, for then serving would not equal training.
    """
    state = savable(model.state_dict())
    known = loaded().known
    description = {
        "format": FORMAT,
        "inarch": known["core"].version,
        **{kind: {"name": entry.name, "options": plain(options), "plugin": known[entry.plugin].distribution,
                  "version": known[entry.plugin].version} for kind, (entry, options) in parts.items()},
        "targets": plain(asdict(targets)),
        "weights_sha256": fingerprint(state),
        **facts,
    }  # fmt: skip
    with checkpoint.written_atomically(directory) as aside:
        save_file(state, aside / WEIGHTS)
        for name, content in model.backbone.files().items():
            (aside / FILES).mkdir(exist_ok=True)
            (aside / FILES / name).write_bytes(content)
        (aside / DESCRIPTION).write_text(json.dumps(description), encoding="utf-8")
        bundle = Bundle(aside, json.loads((aside / DESCRIPTION).read_text(encoding="utf-8")))
        difference = _difference(bundle.outputs(raw), expected)
        if not difference <= TOLERANCE:
            raise RunError(
                f"serving differs from training by {difference:g} on raw inputs: a bug in a transform or backbone"
            )
        description["parity"] = {"examples": len(raw), "largest_difference": difference}
        (aside / DESCRIPTION).write_text(json.dumps(description, indent=1), encoding="utf-8")
    return difference


def _difference(served: Any, expected: Any) -> float:
    """Return the largest absolute difference of two outputs; equal infinities do not differ."""
    if isinstance(expected, dict):
        return max(_difference(served[name], tensor) for name, tensor in expected.items())
    one, other = served.double().cpu(), expected.double().cpu()
    return float(torch.where(one == other, 0, (one - other).abs()).max())


def _rebuild(
    kind: str, component: Mapping[str, Any], description: Mapping[str, Any], extra: Mapping[str, Any], *given: Any
) -> Any:
    where = f"the bundle's {kind} (written by {component['plugin']} {component['version']})"
    entry = loaded().find(kind, component["name"], where)
    options = {**component["options"], **extra}
    return build(entry, bind(entry.build, options, Document(where, dict(description)), ()), *given)
