"""What to try a component with: `inarch.testing` asks for it and nothing else does. Light: imports no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inarch.interfaces.dataset import Targets


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A small instance of a component, and what to try it with.

    A component tells it at registration: ``register("series", series, trial=trial)``. `trial()` returns one, or a list
    of them where several kinds of instances are worth trying.
    """

    name: str = ""
    """What tells it from other trials of the same component, a word or two."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of the builder, as a recipe would write them: small, with random weights, without a download. Of a strategy that
    reads other runs, `runs/first` is one: the kit trains it."""
    inputs: Sequence[Any] = ()
    """Of a backbone: raw inputs, at least three, as unlike as real ones are: short and long, plain and odd."""
    refused: Sequence[Any] = ()
    """Of a backbone: raw inputs that cannot be read, which `transform` refuses with ValueError or OSError."""
    targets: "Targets | None" = None
    """Of a metric: what it is built for; of a head, where it has no `truths` that its `read` could be given."""
    truths: Sequence[Any] = ()
    """Of a head or a metric: raw targets, at least three, as rows of a data set have them. Of a head, `inputs` are the
    raw inputs beside them, where its `read` looks at these."""
    answers: Sequence[Mapping[str, Any]] = ()
    """Of a metric of predictions: the right prediction for each of the truths, as a head makes it."""
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    """What the component reads, by the names that `options` have for it: a check runs in a folder with these files."""
    expected_failed_checks: Mapping[str, str] = field(default_factory=dict)
    """Names of checks that this component is known to fail, each with the reason. One that passes is a failure."""
