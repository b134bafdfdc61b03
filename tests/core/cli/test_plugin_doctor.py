"""`inarch plugins doctor`: what is wrong, and what to type."""

import json
from importlib.metadata import version
from pathlib import Path

from stranger import METRIC, command_line


def findings(site: Path, **options) -> dict[str, list[dict]]:
    done = command_line(site, "plugins", "doctor", "--json", **options)
    found: dict[str, list[dict]] = {}
    for finding in json.loads(done.stdout):
        found.setdefault(finding.pop("plugin"), []).append(finding)
    assert done.returncode == (1 if any(f["wrong"] for found in found.values() for f in found) else 0), done.stderr
    return found


def test_plugins_in_order_are_told_in_a_line_each(install) -> None:
    site = install("mine", METRIC.format(name="m"), requires=["inarch>=0.1", "click"])
    done = command_line(site, "plugins", "doctor")
    assert done.returncode == 0 and done.stderr == ""
    assert "mine  (inarch-mine 1.0)  in order\n" in done.stdout and done.stdout.endswith("\nNothing is wrong.\n")


def test_all_that_can_be_wrong_is_told_with_what_to_type(install) -> None:
    own = ["inarch>=0.1"]
    install("stale", "", requires=own)
    (install("other", METRIC.format(name="same"), requires=own) / "inarch_stale.py").unlink()
    install("twice", METRIC.format(name="same"), requires=own)
    lacking = [*own, "nobody-wrote-this>=3", "click>=99", "nor-this; extra == 'x'"]
    install("lacking", METRIC.format(name="m"), requires=lacking)
    install("older", "", requires=["inarch>=1"])
    install("silent", METRIC.format(name="n"))
    install("missing", "import nothing_of_this_name", requires=own)
    site = install("exits", "import ctypes; ctypes.CDLL(None)._exit(3)", requires=own)
    command_line(site, "plugins", "disable", "other")
    command_line(site, "plugins", "disable", "text")
    found = findings(site)
    wrong = {name: [f for f in told if f["wrong"]] for name, told in found.items()}
    told = {name: [(f["what"], f["type"]) for f in some] for name, some in wrong.items() if some}
    [(stale, again)] = told.pop("stale")
    assert "No module named 'inarch_stale'" in stale
    assert again == "pip install --force-reinstall --no-deps inarch-stale, or: pip uninstall inarch-stale"
    [(missing, newer)] = told.pop("missing")
    assert "No module named 'nothing_of_this_name'" in missing
    assert newer == "pip install --upgrade 'inarch-missing', or: inarch plugins disable missing"
    assert told == {
        "exits": [("importing it ends the process, with exit code 3", "inarch plugins disable exits")],
        "older": [(f"it was built for inarch >=1, and this is inarch {version('inarch')}",
                   "pip install --upgrade inarch-older, or where no newer one knows this inarch: "
                   "pip install 'inarch>=1'")],
        "lacking": [("inarch-lacking requires nobody-wrote-this>=3, which is not installed",
                     "pip install 'nobody-wrote-this>=3'"),
                    (f"inarch-lacking requires click>=99, and {version('click')} is installed",
                     "pip install 'click>=99'")],
    }  # fmt: skip
    path = site / "home" / "inarch" / "disabled-plugins"
    assert found["text"] == [{"wrong": False, "what": f"is disabled by {path}", "type": "inarch plugins enable text"}]
    assert found["silent"][0]["what"] == "inarch-silent does not say which inarch it was built for"
    assert found["silent"][0]["type"].startswith('dependencies = ["inarch>=')
    assert "twice" not in found  # for the other one is disabled


def test_conflicts_name_both_plugins_and_what_leaves_one_out(install) -> None:
    install("one", METRIC.format(name="same"), requires=["inarch"])
    site = install("two", METRIC.format(name="same"), requires=["inarch"])
    done = command_line(site, "plugins", "doctor")
    assert done.returncode == 1 and done.stdout.endswith("\n1 thing is wrong.\n")
    both = "by plugin 'one' (inarch-one 1.0) and plugin 'two' (inarch-two 1.0)"
    assert f"  wrong: the metric 'same' is registered twice: {both}" in done.stdout
    assert "  type: inarch plugins disable one, or: inarch plugins disable two\n" in done.stdout


def test_what_the_variable_names_and_what_is_disabled_and_gone_is_told(install) -> None:
    site = install("mine", METRIC.format(name="m"), requires=["inarch"])
    (site / "home" / "inarch").mkdir(parents=True)
    (site / "home" / "inarch" / "disabled-plugins").write_text("gone\n")
    found = findings(site, env={"INARCH_PLUGINS": "mime"})
    assert found["INARCH_PLUGINS"][0]["what"].startswith("unknown plugin 'mime'. Did you mean 'mine'?")
    assert found["gone"][0]["type"] == "inarch plugins enable gone" and not found["gone"][0]["wrong"]


def test_an_extra_of_inarch_that_is_not_met_is_worth_knowing(install) -> None:
    site = install("mine", METRIC.format(name="m"), requires=["inarch"])
    older = site / "timm-0.1.dist-info"
    older.mkdir()
    (older / "METADATA").write_text("Metadata-Version: 2.1\nName: timm\nVersion: 0.1\n")
    [finding] = findings(site)["vision"]
    told = "the extra 'vision' of inarch requires timm<2,>=1.0.20, and 0.1 is installed"
    assert finding == {"wrong": False, "what": told, "type": "pip install 'inarch[vision]'"}


def test_a_slow_import_is_worth_knowing(install) -> None:
    site = install("mine", "import time; time.sleep(2.1)\n" + METRIC.format(name="m"), requires=["inarch"])
    [finding] = findings(site)["mine"]
    assert not finding["wrong"] and finding["what"].startswith("its import takes 2.")


def test_names_of_disabled_plugins_that_cannot_be_read_are_told(install) -> None:
    site = install("mine", METRIC.format(name="m"))
    (site / "home" / "inarch" / "disabled-plugins").mkdir(parents=True)
    done = command_line(site, "plugins", "doctor")
    assert "the names of disabled plugins cannot be read: Is a directory; remove or mend it" in done.stderr
