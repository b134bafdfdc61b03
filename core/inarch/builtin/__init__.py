"""The components that the core brings, registered through the same hooks as any plugin's. Imports nothing heavy."""

from inarch.builtin import (
    answer_targets,
    averaging,
    distill,
    embedder_targets,
    heads,
    ladder,
    metrics,
    segment_targets,
    selected,
    strategies,
    targets,
    transcript_targets,
    trials,
    unfreezing,
)
from inarch.data import folder, hub, table
from inarch.hookspecs import Register, hookimpl


@hookimpl
def register_datasets(register: Register) -> None:
    """Register the sources that every domain shares."""
    register("folder", folder.folder, trial=trials.folder)
    register("table", table.table, trial=trials.table)
    register("package", table.package, trial=trials.package)
    register("hub", hub.hub, trial=trials.hub)


@hookimpl
def register_heads(register: Register) -> None:
    """Register the heads that every domain shares."""
    weighed = {"verify": targets.verify_weights}
    register("classifier", heads.classifier, read=targets.read_classes, trial=trials.classifier, **weighed)
    register("multilabel", heads.multilabel, read=targets.read_labels, trial=trials.multilabel, **weighed)
    register("regressor", heads.regressor, read=targets.read_numbers, trial=trials.regressor)
    register("embedder", heads.embedder, read=embedder_targets.read_embedder, verify=embedder_targets.verify_embedder,
             trial=trials.embedder)  # fmt: skip
    register("tagger", heads.tagger, read=segment_targets.read_segments, verify=segment_targets.verify_tagger,
             trial=trials.tagger)  # fmt: skip
    register("knn", heads.knn, read=targets.read_classes, trained=False)
    register("span", heads.span, read=answer_targets.read_answers, trial=trials.span)
    register("ctc", heads.ctc, read=transcript_targets.read_transcripts, verify=transcript_targets.verify_ctc,
             trial=trials.ctc)  # fmt: skip


@hookimpl
def register_metrics(register: Register) -> None:
    """Register torchmetrics' metrics under their usual names."""
    either = ("classes", "labels")
    register("accuracy", metrics.accuracy, kinds=either)
    register("balanced_accuracy", metrics.balanced_accuracy, kinds=("classes",))
    register("f1", metrics.f1, kinds=either)
    register("auroc", metrics.auroc, kinds=either)
    register("average_precision", metrics.average_precision, kinds=either)
    register("mcc", metrics.mcc, kinds=("classes",))
    register("calibration_error", metrics.calibration_error, kinds=("classes",), larger_is_better=False)
    register("mae", metrics.mae, kinds=("numbers",), larger_is_better=False)
    register("rmse", metrics.rmse, kinds=("numbers",), larger_is_better=False)
    register("r2", metrics.r2, kinds=("numbers",))
    register("pearson", metrics.pearson, kinds=("numbers",))
    register("spearman", metrics.spearman, kinds=("numbers",))
    register("equal_error_rate", metrics.equal_error_rate, kinds=("identities",), larger_is_better=False)
    register("min_dcf", metrics.min_dcf, kinds=("identities",), larger_is_better=False)


@hookimpl
def register_strategies(register: Register) -> None:
    """Register the strategies that every domain shares."""
    register("auto", ladder.auto)
    register("bias_only", selected.bias_only)
    register("distill", distill.distill, trial=trials.distill)
    register("full", strategies.full)
    register("gradual_unfreezing", unfreezing.gradual_unfreezing)
    register("l2_sp", strategies.l2_sp)
    register("linear_probe", strategies.linear_probe, trial=trials.linear_probe)
    register("lora", strategies.lora, trial=trials.lora)
    register("lp_ft", unfreezing.lp_ft)
    register("norm_only", selected.norm_only)
    register("scratch", strategies.scratch)
    register("soup", averaging.soup, trial=trials.soup)
    register("wise_ft", averaging.wise_ft)
