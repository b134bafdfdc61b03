"""Plugins that are broken, in conflict, or in order: as `inarch plugins` and recipes meet them."""

import json
from pathlib import Path

import pytest
from conftest import RECIPE, write_vectors
from stranger import METRIC, command_line, write_plugin

HOOK = "from inarch import hookimpl\n@hookimpl\ndef {}\n"
BUILDER = (
    "from inarch import hookimpl\ndef build({}): pass\n@hookimpl\ndef register_heads(register): register('h', build)"
)

BROKEN = {
    "an import that fails": ("import nothing_of_this_name", "No module named 'nothing_of_this_name'"),
    "an exit at import": ("raise SystemExit('bye')", "SystemExit: bye"),
    "a hard exit at import": ("import os\nos._exit(0)", "SystemExit: os._exit(0)"),
    "a syntax error": ("def (", "SyntaxError"),
    "an endless recursion": ("def f(): f()\nf()", "RecursionError"),
    "an error without words": (
        "class Mute(Exception):\n    def __str__(self): raise ValueError\nraise Mute",
        "Mute: (its message cannot be read)",
    ),
    "a hook with a default": (HOOK.format("on_train_begin(run=None): pass"), "must not have defaults"),
    "an unknown hook": (HOOK.format("on_train_beginn(run): pass"), "Did you mean 'on_train_begin'?"),
    "an unknown parameter": (
        HOOK.format("on_train_begin(job): pass"), "on_train_begin(job): unknown parameter 'job'. Allowed: run"
    ),
    "a registering hook without parameter": (HOOK.format("register_heads(): pass"), "TypeError: register_heads()"),
    **{f"a failing register_{kind}":
       (HOOK.format(f"register_{kind}(register): raise KeyError('mine')"), "KeyError: 'mine'")
       for kind in ("backbones", "heads", "datasets", "metrics", "strategies")},
    "a failing register_commands": (
        HOOK.format("register_commands(cli): raise KeyError('mine')"), "register_commands failed: KeyError: 'mine'"
    ),
    "an untyped option": (BUILDER.format("targets, num_features, *, size=3"), "no annotation; write `size: int = 3`"),
    "a default of another type": (
        BUILDER.format("targets, num_features, *, size: int = 'x'"),
        "the default of the option 'size' is not what its annotation allows: expected a whole number, found 'x'",
    ),
    "no default where there is a type": (
        BUILDER.format("targets, num_features, *, size: int = None"), "write `size: int | None = None`"
    ),
    "options of any name": (BUILDER.format("targets, num_features, **options"), "takes `**options`"),
    "values of any number": (BUILDER.format("targets, num_features, *sizes"), "takes `*sizes`"),
    "an option by position": (
        BUILDER.format("targets, num_features, size: int = 1"),
        "`size` would never be set; options stand after a `*`: `(targets, num_features, *, size)`",
    ),
    "too few by position": (
        BUILDER.format("targets"), "called with targets, num_features by position and takes targets"
    ),
    "an annotation that nobody knows": (
        BUILDER.format("targets, num_features, *, size: 'Unheard'"), "NameError: name 'Unheard' is not defined"
    ),
    "a builder that is none": (BUILDER.format("").replace("build)", "3)"), "the builder must be a function, found 3"),
    "a register kept for later": (
        HOOK.format("register_heads(register): global kept; kept = register")
        + HOOK.format("register_metrics(register): kept('late', print)"),
        "register('late') was called after register_heads had returned",
    ),
    "an unknown fact": (METRIC.format(name="m").replace("build)", "build, kind=1)"), "Did you mean 'kinds'?"),
    "a name of the core": (METRIC.format(name="accuracy"), "'accuracy' is registered twice: by plugin 'core' (inarch"),
    "a name of a built-in plugin": (
        METRIC.format(name="word_error_rate"), "'word_error_rate' is registered twice: by plugin 'audio' (inarch"
    ),
    "half a registration": (METRIC.format(name="m") + "    raise ValueError('half')", "ValueError: half"),
}  # fmt: skip
NAMES = {case: case.replace(" ", "_") for case in BROKEN}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all of these are installed together; and a table and a recipe that need none of them."""
    folder = tmp_path_factory.mktemp("site")
    for case, (source, _) in BROKEN.items():
        write_plugin(folder, NAMES[case], source, f"dist-{NAMES[case]}".replace("_", "-"))
    table = write_vectors(folder / "vectors.csv")
    (folder / "toy.yaml").write_text(RECIPE.format(path=table), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def listed(site: Path) -> dict[str, dict]:
    done = command_line(site, "plugins", "--json")
    assert done.returncode == 0, done.stderr
    return {plugin["name"]: plugin for plugin in json.loads(done.stdout)}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_is_shown_with_its_reason_and_registers_nothing(case: str, listed: dict) -> None:
    plugin = listed[NAMES[case]]
    assert BROKEN[case][1] in plugin["error"]
    assert plugin["registered"] == {}
    assert plugin["distribution"].startswith("dist-") and plugin["version"] == "1.0"
    assert "inarch plugins disable " + NAMES[case] in plugin["advice"] or "pip " in plugin["advice"]


def test_a_plugin_in_order_is_shown_among_broken_ones_with_all_that_is_known(listed: dict) -> None:
    toy = listed["toy"]
    assert toy["error"] is None and toy["registered"] == {"backbones": ["vectors", "letters"], "metrics": ["starts"]}
    assert toy["hooks"] == ["register_backbones", "register_metrics"] and 0 < toy["milliseconds"] < 60_000
    assert all(listed[name]["error"] is None for name in ("core", "vision", "text", "audio"))


def test_an_error_tells_file_and_line(listed: dict, site: Path) -> None:
    assert f"({site / 'dist_an_import_that_fails.py'}, line 1)" in listed["an_import_that_fails"]["error"]


def test_commands_that_need_no_broken_plugin_work(site: Path) -> None:
    for arguments in (["--help"], ["check", "toy.yaml"]):
        done = command_line(site, *arguments)
        assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr


def test_the_list_shows_reasons_and_the_traceback_on_request(site: Path) -> None:
    short, long = command_line(site, "plugins"), command_line(site, "plugins", "--verbose")
    assert short.returncode == long.returncode == 0
    assert short.stdout.count("  broken: ") == len(BROKEN) and "Traceback" not in short.stdout
    assert 'dist_an_import_that_fails.py", line 1' in long.stdout
    assert "toy  (inarch-toy 1.0)  " in short.stdout and "  hooks: register_backbones, register_metrics" in short.stdout


def test_a_recipe_that_names_a_component_of_a_broken_plugin_stops_with_the_reason(
    toy_recipe: Path, refused, install
) -> None:
    site = install("mine", "import nothing_of_this_name")
    message = refused("check", toy_recipe, "backbone=mine", path=site)
    assert "plugin 'mine' (inarch-mine 1.0)" in message and "nothing_of_this_name" in message
    assert "inarch plugins disable mine" in message


def test_a_component_name_taken_twice_names_both_distributions(inarch, install) -> None:
    install("one", METRIC.format(name="same"))
    site = install("two", METRIC.format(name="same"))
    found = inarch("plugins", env={"PYTHONPATH": str(site)}).stdout
    assert "'same' is registered twice" in found and "inarch-one 1.0" in found and "inarch-two 1.0" in found


def test_a_plugin_name_taken_twice_names_both_distributions_and_uses_neither(inarch, install) -> None:
    install("same", METRIC.format(name="of_one"), "one")
    site = install("same", METRIC.format(name="of_two"), "two")
    known = [p for p in json.loads(inarch("plugins", "--json", env={"PYTHONPATH": str(site)}).stdout)
             if p["name"] == "same"]  # fmt: skip
    assert len(known) == 2 and all("one 1.0 and two 1.0" in plugin["error"] for plugin in known)
    assert known[0]["advice"] == "pip uninstall one, or: pip uninstall two"
    listed = inarch("list", "metrics", env={"PYTHONPATH": str(site)}).stdout
    assert "of_one" not in listed and "of_two" not in listed


def test_two_plugins_of_one_name_are_disabled_together(install) -> None:
    install("same", METRIC.format(name="of_one"), "one")
    site = install("same", METRIC.format(name="of_two"), "two")
    command_line(site, "plugins", "disable", "same")
    assert command_line(site, "list", env={"INARCH_STRICT_PLUGINS": "1"}).returncode == 0


@pytest.mark.parametrize(
    ("module", "remedy"),
    [("nobody_wrote.this", "pip install 'inarch-mine[more]'"), ("nor_that", "pip install inarch-mine")],
)
def test_a_package_that_is_missing_when_a_component_is_built_says_what_to_type(
    module: str, remedy: str, install, toy_recipe: Path
) -> None:
    source = f"from inarch import hookimpl\ndef build(): import {module}\n"
    source += "@hookimpl\ndef register_strategies(register): register('mine', build)"
    site = install("mine", source, requires=["inarch", "Nobody-Wrote>=3; extra == 'more'"])
    done = command_line(site, "check", toy_recipe, "strategy=mine")
    told = "mine of plugin 'mine' (inarch-mine 1.0) needs a package that is missing: No module named"
    assert done.returncode == 2 and told in done.stderr and done.stderr.endswith(f"Try: {remedy}\n")


@pytest.mark.parametrize("name", ["core", "vision"])
def test_a_plugin_with_the_name_of_a_built_in_one_does_not_harm_it(name: str, install, toy_recipe: Path) -> None:
    site = install(name, METRIC.format(name="mine"), "evil")
    shown = {
        p["distribution"]: p for p in json.loads(command_line(site, "plugins", "--json").stdout) if p["name"] == name
    }
    assert "evil 1.0" in shown["evil"]["error"] and shown["inarch"]["error"] is None
    assert command_line(site, "check", toy_recipe).returncode == 0


def test_a_plugin_that_sorts_before_a_built_in_one_takes_no_name_from_it(install) -> None:
    site = install("aaa", METRIC.format(name="word_error_rate"))
    shown = {p["name"]: p for p in json.loads(command_line(site, "plugins", "--json").stdout)}
    assert shown["audio"]["error"] is None and "registered twice" in shown["aaa"]["error"]


def test_metadata_that_cannot_be_read_hides_no_other_plugin(install, tmp_path: Path) -> None:
    site = install("mine", METRIC.format(name="mine"))
    broken = site / "other-1.0.dist-info"
    broken.mkdir()
    (broken / "entry_points.txt").write_text("[inarch]\nno equals sign\n")
    done = command_line(site, "list", "metrics")
    assert done.returncode == 0 and "mine  (mine)" in done.stdout
    assert "other-1.0.dist-info: metadata that cannot be read" in done.stderr


def test_what_a_plugin_prints_at_import_is_no_part_of_the_output(install) -> None:
    site = install("mine", "print('hello')\n" + METRIC.format(name="mine"))
    done = command_line(site, "list", "metrics")
    assert "hello" not in done.stdout and "hello" in done.stderr


def test_with_strict_plugins_any_failure_ends_every_command_but_those_that_mend_it(install, toy_recipe: Path) -> None:
    site = install("mine", "import nothing_of_this_name")
    strict = {"INARCH_STRICT_PLUGINS": "1"}
    for arguments in (["--help"], ["check", toy_recipe], ["show", "runs"]):
        done = command_line(site, *arguments, env=strict)
        assert done.returncode == 2, arguments
        assert 'inarch_mine.py", line 1, in <module>' in done.stderr
        assert "\nError: plugin 'mine' (inarch-mine 1.0): ModuleNotFoundError" in done.stderr
    for arguments in (["plugins"], ["plugins", "disable", "mine"]):
        assert command_line(site, *arguments, env=strict).returncode == 0
    assert command_line(site, "check", toy_recipe, env=strict).returncode == 0


def test_with_strict_plugins_a_builder_that_fails_shows_its_traceback(install, toy_recipe: Path) -> None:
    source = "from inarch import hookimpl\ndef build(): raise ValueError('late')\n"
    site = install("mine", source + "@hookimpl\ndef register_strategies(register): register('mine', build)")
    short = command_line(site, "check", toy_recipe, "strategy=mine")
    long = command_line(site, "check", toy_recipe, "strategy=mine", env={"INARCH_STRICT_PLUGINS": "1"})
    told = "Error: plugin 'mine' (inarch-mine 1.0): building 'mine' failed: ValueError: late\n"
    assert short.stderr == told and long.stderr.endswith(told) and "in build" in long.stderr


def test_a_plugin_that_is_being_written_is_to_be_mended_where_it_is(install) -> None:
    site = install("mine", "import nothing_of_this_name")
    origin = {"url": f"file://{site}/my%20code", "dir_info": {"editable": True}}
    (site / "inarch_mine-1.0.dist-info" / "direct_url.json").write_text(json.dumps(origin))
    told = command_line(site, "plugins").stdout
    assert f"type: mend {site}/my code, or: inarch plugins disable mine" in told


def test_of_many_broken_plugins_the_likely_one_is_told(install, toy_recipe: Path, refused) -> None:
    for number in range(5):
        site = install(f"other{number}", "import nothing_of_this_name")
    message = refused("check", toy_recipe, "backbone=other3_network", path=site)
    assert "plugin 'other3'" in message and "plugin 'other1'" not in message
    message = refused("check", toy_recipe, "backbone=network", path=site)
    assert message.count("inarch plugins disable") == 3 and "and 2 more, see: inarch plugins" in message
