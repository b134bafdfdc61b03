"""Checks of plugins as such: what importing one does, what it imports, what its distribution says."""

from importlib import metadata
from typing import Any

from inarch import hookspecs
from inarch.cli.main import VERBS
from inarch.errors import listing
from inarch.importing import import_object
from inarch.testing.cases import PluginCase
from inarch.testing.check import Checks, expect, skip
from inarch.testing.probe import effects
from inarch.testing.sources import files_of_module, private_uses

CHECKS = Checks()
MOST_MODULES = 250
"""Modules that importing a plugin may bring, beside its own; torch brings over a thousand, numpy a hundred."""
HEAVY = frozenset({
    "accelerate", "cv2", "datasets", "jax", "librosa", "matplotlib", "numba", "numpy", "pandas", "peft", "PIL",
    "pyarrow", "safetensors", "scipy", "sklearn", "soundfile", "tensorflow", "timm", "tokenizers", "torch",
    "torchaudio", "torchmetrics", "torchvision", "transformers", "xgboost",
})  # fmt: skip
_PAGE = "inarch.hookspecs"


@CHECKS.add(_PAGE)
def can_be_loaded(case: PluginCase) -> None:
    """A plugin can be imported, answers hooks that exist, and registers what its names and builders allow."""
    expect(not case.plugin.error, f"{case.plugin.error}\n{case.plugin.details}".strip())


@CHECKS.add(_PAGE)
def answers_a_hook(case: PluginCase) -> None:
    """A plugin answers at least one hook."""
    expect(case.plugin.error or case.plugin.hooks, f"{case.plugin.module} answers none; is @inarch.hookimpl missing?")


@CHECKS.add(_PAGE)
def hooks_are_marked(case: PluginCase) -> None:
    """Every function of a plugin's module that has the name of a hook is a hook, by `@inarch.hookimpl`."""
    if case.plugin.error:
        skip("it cannot be loaded")
    specs = [name for name, hook in vars(hookspecs).items() if hasattr(hook, "inarch_spec")]
    unmarked = [name for name in specs if name in vars(_module(case)) and name not in case.plugin.hooks]
    expect(not unmarked, f"{listing(unmarked)} of {case.plugin.module} is never called: @inarch.hookimpl is missing")


@CHECKS.add(_PAGE)
def registers_the_same_in_every_process(case: PluginCase) -> None:
    """What a plugin registers, and in which order, is the same in every process."""
    one, two = effects(case.plugin.module)["registered"], effects(case.plugin.module, 1)["registered"]
    told = next((f"{first} and {second}" for first, second in zip(one, two, strict=False) if first != second), None)
    expect(one == two, f"two processes register {told or f'{len(one)} and {len(two)} components'}")


@CHECKS.add(_PAGE)
def imports_no_heavy_library(case: PluginCase) -> None:
    """Importing a plugin, and asking what it registers, imports no heavy library: builders import theirs when called.

    Every command imports every plugin, `inarch --help` too.
    """
    own = case.plugin.module.split(":")[0].split(".")[0]
    modules = effects(case.plugin.module)["modules"]
    heavy = sorted(HEAVY & set(modules))
    expect(not heavy, f"it imports {listing(heavy)}")
    others = [name for name in modules if name.split(".")[0] not in (own, "inarch")]
    tops = sorted({name.split(".")[0] for name in others})
    expect(len(others) <= MOST_MODULES, f"it imports {len(others)} modules, of {listing(tops, 8)}")


@CHECKS.add(_PAGE)
def import_needs_no_network(case: PluginCase) -> None:
    """Importing a plugin reaches for nothing beyond the machine."""
    wanted = effects(case.plugin.module)["wanted"]
    expect(not wanted, f"it wanted {listing(sorted(set(wanted)))}")


@CHECKS.add(_PAGE)
def import_prints_nothing(case: PluginCase) -> None:
    """Importing a plugin writes nothing to standard output or standard error."""
    printed = effects(case.plugin.module)["printed"]
    expect(not printed, f"it printed {printed[:200]!r}")


@CHECKS.add(_PAGE)
def import_writes_no_file(case: PluginCase) -> None:
    """Importing a plugin makes, changes and removes no file."""
    written = [path for path in effects(case.plugin.module)["written"] if path != "/dev/null"]
    expect(not written, f"it wrote {listing(written, 5)}")


@CHECKS.add(_PAGE)
def import_starts_nothing(case: PluginCase) -> None:
    """Importing a plugin starts neither threads nor processes."""
    expect(not (started := effects(case.plugin.module)["started"]), f"it started {listing(started, 3)}")
    _expect_kept(case, "threads")


@CHECKS.add(_PAGE)
def import_keeps_the_working_directory(case: PluginCase) -> None:
    """Importing a plugin leaves the working directory as it is."""
    _expect_kept(case, "the working directory")


@CHECKS.add(_PAGE)
def import_keeps_the_environment(case: PluginCase) -> None:
    """Importing a plugin leaves environment variables as they are."""
    _expect_kept(case, "the environment")


@CHECKS.add(_PAGE)
def import_seeds_nothing(case: PluginCase) -> None:
    """Importing a plugin neither seeds a random generator nor draws from one."""
    _expect_kept(case, "python's generator")
    first, second = effects(case.plugin.module), effects(case.plugin.module, 1)
    expect(not first["seeded"], "it seeded torch's generator")
    expect(not first["drawn"] or first["drawn"] != second["drawn"], "it seeded numpy's generator")


@CHECKS.add(_PAGE)
def import_keeps_warnings_and_logging(case: PluginCase) -> None:
    """Importing a plugin leaves the filters of warnings and the root logger as they are."""
    _expect_kept(case, "the filters of warnings", "the root logger")


@CHECKS.add(_PAGE)
def import_keeps_the_interpreter(case: PluginCase) -> None:
    """Importing a plugin leaves signal handlers, streams, search path, and how processes are started as they are."""
    names = "signal handlers", "the hooks of the interpreter", "the standard streams", "the search path"
    _expect_kept(case, *names, "how processes are started")


@CHECKS.add("docs/plugins.md#public-names")
def uses_public_names_only(case: PluginCase) -> None:
    """A plugin imports of inarch only what `import inarch` shows: its modules are private, and change."""
    if case.is_core:
        skip("the core is behind the door")
    private = [use for path in files_of_module(case.plugin.module) for use in private_uses(path)]
    expect(not private, f"{listing(private, 5)}")


@CHECKS.add("inarch.hookspecs.register_commands")
def commands_shadow_no_verb(case: PluginCase) -> None:
    """A plugin's commands have names of their own, not those of built-in verbs."""
    commands = effects(case.plugin.module)["commands"]
    if not commands:
        skip("it adds no command")
    taken = [name for name in commands if name in VERBS]
    expect(not taken, f"{listing(taken)} is a verb of inarch's own")


@CHECKS.add("inarch.hookspecs.register_commands")
def commands_are_where_they_are_said_to_be(case: PluginCase) -> None:
    """A command that is imported when it is used can be imported, and is one."""
    places = effects(case.plugin.module)["places"]
    if not places:
        skip("it adds no command by its address")
    broken = [f"'{name}' is not there: {reason}" for name, reason in places.items() if reason]
    expect(not broken, "; ".join(broken))


@CHECKS.add("docs/plugins.md#when-something-is-wrong")
def distribution_states_its_inarch(case: PluginCase) -> None:
    """A plugin's distribution requires inarch from a version up to another: `inarch>=0.1,<0.2`."""
    if case.plugin.distribution == "inarch":
        skip("it comes with inarch itself")
    told = case.plugin.requires
    expect(told, f"{case.plugin.distribution} does not require inarch")
    from packaging.requirements import Requirement

    operators = {specifier.operator for specifier in Requirement(told or "").specifier}
    bounded = operators & {"==", "~=", "==="} or (operators & {">=", ">"} and operators & {"<=", "<"})
    expect(bounded, f"{case.plugin.distribution} requires '{told}', without a first and a last version")


@CHECKS.add("docs/plugins.md#publishing")
def distribution_has_a_licence(case: PluginCase) -> None:
    """A plugin's distribution says under which licence it may be used."""
    told: Any = metadata.metadata(case.plugin.distribution)
    named = told.get("License-Expression") or told.get("License") or told.get_all("License-File")
    classified = [line for line in told.get_all("Classifier") or () if line.startswith("License ::")]
    expect(named or classified, f"the metadata of {case.plugin.distribution} has no License-Expression")


def _module(case: PluginCase) -> Any:
    return import_object(case.plugin.module)


def _expect_kept(case: PluginCase, *names: str) -> None:
    changed = effects(case.plugin.module)["changed"]
    for name in names:
        expect(name not in changed, f"it changed {name}: {str(changed.get(name))[:200]}")
