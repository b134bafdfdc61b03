"""A plugin of inarch for the domain "{{cookiecutter.domain}}".

inarch imports this module whenever it starts, `inarch --help` included: it imports nothing heavy, no torch, no numpy.
What a hook registers is a name, which recipes write, and a builder, which is called when a recipe wants the component.
"""

from inarch import Register, hookimpl

from {{cookiecutter.package}} import builders, targets, trials


@hookimpl
def register_backbones(register: Register) -> None:
    """Register what turns inputs into features."""
    register(
        "{{cookiecutter.plugin}}_convolution",
        builders.convolution,
        domain="{{cookiecutter.domain}}",
        verify=builders.verify,
        starter=builders.starter,
        trial=trials.convolution,
    )


@hookimpl
def register_heads(register: Register) -> None:
    """Register what turns features into answers; `read` says what the target column of a data set means to it."""
    register(
        "{{cookiecutter.plugin}}_ordinal",
        builders.ordinal,
        read=targets.read_ordered,
        trial=trials.ordinal,
    )


@hookimpl
def register_datasets(register: Register) -> None:
    """Register where examples come from."""
    register("{{cookiecutter.plugin}}_waves", builders.waves)


@hookimpl
def register_metrics(register: Register) -> None:
    """Register what is measured; `kinds` are the kinds of targets (`Targets.kind`) that it makes sense for."""
    register(
        "{{cookiecutter.plugin}}_distance",
        builders.distance,
        kinds=("classes",),
        larger_is_better=False,
    )


@hookimpl
def register_strategies(register: Register) -> None:
    """Register which layers are trained, for how long and at which rates."""
    register("{{cookiecutter.plugin}}_last_layers", builders.last_layers)
