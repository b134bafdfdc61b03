"""The bundle: weights, the pipeline's description, classes and hashes; opens with no network and no original weights.

The one pipeline is the backbone's evaluation transform: training evaluates through it, a bundle predicts through it.
A bundle of adapters keeps only what differs from the backbone's own weights. It loads these from their address again,
and knows them by their fingerprint.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from inarch import checkpoint
from inarch.data.inputs import Inputs, Seen, in_portions, kept_by
from inarch.data.order import evaluation_batches
from inarch.description import DESCRIPTION, FORMAT, WEIGHTS, files_of, read_description
from inarch.errors import InarchError, RunError, WeightsError, listing
from inarch.interfaces.backbone import Backbone, Window
from inarch.interfaces.dataset import Targets
from inarch.model import Model, collect
from inarch.opening import Allowance
from inarch.parts import describe, rebuild, write_files
from inarch.plugins import Entry
from inarch.weights import fingerprint, load_strictly, load_weights, read_state, savable

AHEAD = 16  # batches of which the inputs are read together, so that those of similar length share one
TOLERANCE = 1e-3  # a larger difference between training and serving is an error; measured ones are about 1e-6


class Bundle:
    """A trained model that takes raw inputs."""

    def __init__(self, directory: Path, description: Mapping[str, Any]) -> None:
        self.directory, self.description = directory, description
        self.targets = Targets(**description["targets"])
        backbone, base = _open_backbone(directory, description)
        head = rebuild("heads", description["head"], description, {}, self.targets, backbone.num_features)
        self.model = Model(backbone, head)
        kept = read_state(directory / WEIGHTS)
        base -= kept.keys()
        _verify_base({name: tensor for name, tensor in self.model.state_dict().items() if name in base}, description)
        load_strictly(self.model, kept, str(directory / WEIGHTS), missing_is_fine=base)
        self.model.eval()
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model.to(self.device)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the target values, in the order of the outputs."""
        return tuple(self.targets.classes)

    @torch.inference_mode()
    def outputs(self, inputs: Sequence[Any], batch_size: int = 32) -> Any:
        """Return the head's outputs for raw inputs, first dimension as long as `inputs`; long ones in such portions."""
        read = self._inputs(inputs)
        return self._outputs([self._read(read, index, raw) for index, raw in enumerate(inputs)], batch_size)

    def predict(self, inputs: Iterable[Any], batch_size: int = 32) -> list[dict[str, Any]]:
        """Return one readable prediction per raw input (a path, a text, ...), in order; an unreadable one raises."""
        return [prediction for _, prediction in self.stream(inputs, batch_size)]

    def stream(
        self, inputs: Iterable[Any], batch_size: int = 32, skip_unreadable: bool = False
    ) -> Iterator[tuple[Any, dict[str, Any]]]:
        """Yield (raw input, prediction) in order, holding a few batches at a time.

        With `skip_unreadable` an input that cannot be read gives ``{"error": reason}``.
        """
        kind = type(self.model.backbone)
        measures = kind.prepare is not Backbone.prepare or kind.measure is not Backbone.measure
        remaining, ahead = iter(inputs), batch_size * (AHEAD if measures else 1)
        while chunk := list(islice(remaining, ahead)):
            yield from zip(chunk, self._chunk(chunk, batch_size, skip_unreadable), strict=True)

    @torch.inference_mode()
    def _chunk(self, chunk: Sequence[Any], batch_size: int, skip_unreadable: bool) -> list[dict[str, Any]]:
        """Return the predictions of a chunk, made in batches of inputs of similar length."""
        inputs = self._inputs(chunk)
        found: list[dict[str, Any]] = [{} for _ in chunk]
        for batch in evaluation_batches(len(chunk), batch_size, inputs.lengths, inputs.counts):
            read: dict[int, Seen] = {}
            for index in batch:
                try:
                    if inputs.counts is not None and inputs.counts[index] > batch_size:
                        outputs = self._long(inputs.windows(index), batch_size)
                        [found[index]] = self.model.predict(outputs, [inputs.raws[index]])
                    else:
                        read[index] = self._read(inputs, index, chunk[index])
                except (OSError, ValueError) as error:
                    if not skip_unreadable:
                        raise RunError(f"{str(chunk[index])[:200]}: {error}") from error
                    found[index] = {"error": str(error)}
            raws = [inputs.raws[index] for index in read]
            predicted = self.model.predict(self._outputs(list(read.values()), batch_size), raws) if read else []
            for index, prediction in zip(read, predicted, strict=True):
                found[index] = prediction
        return found

    def _long(self, windows: Sequence[Window], batch_size: int) -> Any:
        """Return the outputs of one input, of whose windows few are in memory at a time."""
        examples = map(self.model.backbone.transform(False), windows)
        parts = (self._outputs(seen, batch_size) for seen in in_portions(examples, batch_size))
        return self.model.join(collect(parts, len(windows)), [torch.from_numpy(kept_by(windows))])

    def _inputs(self, raws: Sequence[Any]) -> Inputs:
        """Return inputs as training had them: of several columns in that order; a missing one is None."""
        columns = self.description["input"]
        if not isinstance(columns, str):
            raws = [{name: values.get(name) for name in columns} for values in map(self._by_column, raws)]
        return Inputs(raws, self.model.backbone, self.model.head.separate)

    def _by_column(self, raw: Any) -> Mapping[str, Any]:
        """Return the values of an input's columns; where training had one column in a list, a plain value is its."""
        columns = self.description["input"]
        if isinstance(raw, Mapping):
            return raw
        return {columns[0]: raw} if len(columns) == 1 else {}

    def _read(self, inputs: Inputs, index: int, raw: Any) -> Seen:
        """Return an input as the backbone sees it, or raise ValueError, also where `raw` lacks columns of training."""
        columns = self.description["input"]
        if isinstance(columns, str) or self._by_column(raw).keys() >= set(columns):
            return inputs[index]
        found = f"the columns {listing(raw)}" if isinstance(raw, Mapping) else f"one value, {str(raw)[:50]!r}"
        raise ValueError(f"expected the columns {listing(columns)}, found {found}")

    def _outputs(self, read: Sequence[Seen], limit: int) -> Any:
        batch = self.model.backbone.collate([member for seen in read for member in seen.members])
        kept = [None if seen.kept is None else torch.from_numpy(seen.kept) for seen in read]
        return self.model.answer({name: tensor.to(self.device) for name, tensor in batch.items()}, kept, limit)


def load(directory: Path | str) -> Bundle:
    """Open a bundle, or the one in a run directory, after checking every file against its hash."""
    path = Path(directory)
    path = path if (path / DESCRIPTION).exists() or not (path / "model").is_dir() else path / "model"
    if not (path / DESCRIPTION).exists():
        raise RunError(
            f"{directory}: no bundle here; expected a folder such as runs/NAME/model that holds {DESCRIPTION}"
        )
    description = read_description(path)
    try:
        with Allowance(path, "strategy" in description):
            return Bundle(path, description)
    except InarchError:
        raise
    except Exception as error:  # a stranger's description can make a component raise anything
        told = f"{DESCRIPTION} describes no model that can be built: {type(error).__name__}: {error}"
        raise RunError(f"{path}: {told}") from error


def write(directory: Path, model: Model, parts: Mapping[str, tuple[Entry, Mapping[str, Any]]], targets: Targets,
          facts: Mapping[str, Any], raw: Sequence[Any], expected: Any) -> float:  # fmt: skip
    """Write a bundle, open it again, and write into it how far its outputs are from those of the training path.

    parts: the components to build it from; with `strategy` among them it keeps only what differs from the weights that
    the backbone loads. raw: inputs as the data set gives them; expected: what evaluation in training answered to them.
    Returns the largest absolute difference; one above 1e-3 is an error, for then serving would not equal training.
    """
    state = savable(model.state_dict())
    description = {"format": FORMAT, **describe(parts, targets), **facts}
    with checkpoint.written_atomically(directory) as aside:
        write_files(aside, model.backbone)
        if "strategy" in parts:
            base = _find_base(state, aside, description)
            description["base"] = {"tensors": len(base), "sha256": fingerprint(base)}
            state = {name: tensor for name, tensor in state.items() if name not in base}
        description["weights_sha256"] = fingerprint(state)
        save_file(state, aside / WEIGHTS)
        (aside / DESCRIPTION).write_text(json.dumps(description), encoding="utf-8")
        bundle = Bundle(aside, json.loads((aside / DESCRIPTION).read_text(encoding="utf-8")))
        difference = _difference(bundle.outputs(raw), expected)
        if any(tensor.isnan().any() for tensor in (expected.values() if isinstance(expected, dict) else [expected])):
            raise RunError(
                "the trained model's outputs are not finite on inputs of the split that it is measured on: an input or "
                "the training ran out of the range of numbers; look at metrics.jsonl and at the largest inputs"
            )
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
        return float(np.max([_difference(served[name], tensor) for name, tensor in expected.items()]))  # NaN, if any is
    one, other = served.double().cpu(), expected.double().cpu()
    return float(torch.where(one == other, 0, (one - other).abs()).max())


def _open_backbone(directory: Path, description: Mapping[str, Any]) -> tuple[Backbone, set[str]]:
    """Build the backbone; if the bundle keeps adapters, load its weights and insert them.

    Returns it with the names, in the model's state, of the tensors that came with these weights.
    """
    backbone: Backbone = rebuild("backbones", description["backbone"], description, files_of(directory))
    if "strategy" not in description:
        return backbone, set()
    strategy = rebuild("strategies", description["strategy"], description, {})
    try:
        load_weights(backbone, description["backbone"]["name"])
    except (RunError, WeightsError) as error:
        raise WeightsError(f"the bundle keeps adapters, and needs the weights that they belong to: {error}") from error
    before = backbone.state_dict(keep_vars=True)
    known = {id(tensor) for tensor in before.values()}
    strategy.adapt(backbone)
    after = backbone.state_dict(keep_vars=True, prefix="backbone.")
    return backbone, {name for name, tensor in after.items() if id(tensor) in known}


def _find_base(state: Mapping[str, Tensor], directory: Path, description: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return what a bundle of adapters need not keep, for the backbone's weights, loaded again, have the same bits."""
    backbone, names = _open_backbone(directory, description)
    again = backbone.state_dict(prefix="backbone.")
    return {name: state[name] for name in names if torch.equal(state[name], again[name])}


def _verify_base(base: Mapping[str, Tensor], description: Mapping[str, Any]) -> None:
    """Refuse weights that the bundle's adapters were not trained on."""
    expected, found = description.get("base", {}).get("sha256"), fingerprint(base) if base else None
    if base and found != expected:
        backbone = description["backbone"]
        told = ", ".join(
            f"{name}: {backbone['options'][name]}" for name in ("model", "weights") if name in backbone["options"]
        )
        raise WeightsError(
            f"the bundle's adapters belong to other weights than the backbone '{backbone['name']}' ({told}) loads now: "
            f"expected SHA-256 {expected}, found {found}. Put back the weights that the training began from; "
            "train with strategy.merge=true for a bundle that brings its own"
        )
