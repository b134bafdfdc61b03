"""The bundle: weights, the pipeline's description, classes and hashes; opens with no network and no original weights.

The one pipeline is the backbone's evaluation transform: training evaluates through it, a bundle predicts through it.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from inarch import checkpoint
from inarch.document import Document
from inarch.errors import RunError
from inarch.interfaces.dataset import Targets
from inarch.model import Model
from inarch.plugins import Entry, build, loaded
from inarch.schema import bind, plain
from inarch.weights import fingerprint, load_strictly

FORMAT = 1
WEIGHTS, DESCRIPTION = "model.safetensors", "bundle.json"
TOLERANCE = 1e-3  # a larger difference between training and serving is an error; measured ones are about 1e-6


class Bundle:
    """A trained model that takes raw inputs."""

    def __init__(self, directory: Path, description: Mapping[str, Any]) -> None:
        self.directory, self.description = directory, description
        self.targets = Targets(**description["targets"])
        backbone = _rebuild("backbones", description["backbone"], description)
        head = _rebuild("heads", description["head"], description, self.targets, backbone.num_features)
        self.model = Model(backbone, head)
        load_strictly(self.model, load_file(directory / WEIGHTS), str(directory / WEIGHTS))
        self.model.eval()
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model.to(self.device)
        self.transform = backbone.transform(False)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the target values, in the order of the outputs."""
        return tuple(self.targets.classes)

    @torch.inference_mode()
    def outputs(self, inputs: Sequence[Any]) -> Tensor:
        """Return the head's outputs for raw inputs, first dimension as long as `inputs`."""
        batch = self.model.backbone.collate([self.transform(raw) for raw in inputs])
        outputs: Tensor = self.model({name: tensor.to(self.device) for name, tensor in batch.items()})
        return outputs.float()

    def predict(self, inputs: Iterable[Any], batch_size: int = 32) -> list[dict[str, Any]]:
        """Return one readable prediction per raw input (a file's path, a text, ...); an unreadable one raises."""
        return [prediction for _, prediction in self.stream(inputs, batch_size)]

    def stream(
        self, inputs: Iterable[Any], batch_size: int = 32, skip_unreadable: bool = False
    ) -> Iterator[tuple[Any, dict[str, Any]]]:
        """Yield (raw input, prediction) in order, holding one batch at a time.

        With `skip_unreadable` an input that cannot be read gives ``{"error": reason}``.
        """
        remaining = iter(inputs)
        while chunk := list(islice(remaining, batch_size)):
            yield from self._chunk(chunk, skip_unreadable)

    def _chunk(self, chunk: Sequence[Any], skip_unreadable: bool) -> Iterator[tuple[Any, dict[str, Any]]]:
        read: list[Any] = []
        for raw in chunk:
            try:
                read.append(self.transform(raw))
            except (OSError, ValueError) as error:
                if not skip_unreadable:
                    raise RunError(f"{raw}: {error}") from error
                read.append(str(error))
        good = [example for example in read if not isinstance(example, str)]
        predicted = iter(self._predict(good) if good else ())
        for raw, example in zip(chunk, read, strict=True):
            yield raw, ({"error": example} if isinstance(example, str) else next(predicted))

    @torch.inference_mode()
    def _predict(self, examples: Sequence[Any]) -> list[dict[str, Any]]:
        batch = self.model.backbone.collate(examples)
        return self.model.head.predict(
            self.model({name: tensor.to(self.device) for name, tensor in batch.items()}).float()
        )


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
          facts: Mapping[str, Any], raw: Sequence[Any], expected: Tensor) -> float:  # fmt: skip
    """Write a bundle, open it again, and write into it how far its outputs are from those of the training path.

    raw: inputs as the data set gives them; expected: what evaluation in training answered to them. Returns the largest
    absolute difference; one above 1e-3 is an error, for then serving would not equal training.
    """
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
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
        (aside / DESCRIPTION).write_text(json.dumps(description), encoding="utf-8")
        bundle = Bundle(aside, json.loads((aside / DESCRIPTION).read_text(encoding="utf-8")))
        difference = float((bundle.outputs(raw).cpu() - expected).abs().max())
        if not difference <= TOLERANCE:
            raise RunError(
                f"serving differs from training by {difference:g} on raw inputs: a bug in a transform or backbone"
            )
        description["parity"] = {"examples": len(raw), "largest_difference": difference}
        (aside / DESCRIPTION).write_text(json.dumps(description, indent=1), encoding="utf-8")
    return difference


def _rebuild(kind: str, component: Mapping[str, Any], description: Mapping[str, Any], *given: Any) -> Any:
    where = f"the bundle's {kind} (written by {component['plugin']} {component['version']})"
    entry = loaded().find(kind, component["name"], where)
    return build(entry, bind(entry.build, component["options"], Document(where, dict(description)), ()), *given)
