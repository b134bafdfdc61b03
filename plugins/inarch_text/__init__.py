"""The text plugin: backbones, column files, metrics of segments and answers. Imports nothing heavy."""

from inarch import Register, hookimpl
from inarch_text import builders, candidates, columns, metrics, trials


@hookimpl
def register_backbones(register: Register) -> None:
    """Register the one builder: any encoder or decoder of transformers."""
    register(
        "transformers",
        builders.transformers,
        domain="text",
        verify=builders.verify,
        starter=builders.starter,
        candidates=candidates.candidates,
        keeps=("max_tokens", "truncate", "template", "pair", "units"),
        trial=trials.transformers,
    )


@hookimpl
def register_datasets(register: Register) -> None:
    """Register the files that texts cut into words come in."""
    register("conll", columns.conll, trial=trials.conll)


@hookimpl
def register_metrics(register: Register) -> None:
    """Register metrics of the predictions of the heads `tagger` and `span`."""
    segments = {"kinds": ("segments",)}
    register("entity_f1", metrics.entity_f1, verify=metrics.verify_entities, trial=trials.entity_f1, **segments)
    register("token_accuracy", metrics.token_accuracy, verify=metrics.verify_tags, trial=trials.token_accuracy,
             **segments)  # fmt: skip
    register("exact_match", metrics.exact_match, kinds=("span",), trial=trials.answers)
    register("answer_f1", metrics.answer_f1, kinds=("span",), trial=trials.answers)
