"""What is known of plugins before any is imported: which inarch each was built for, whose files it has."""

import json

import pytest
from stranger import METRIC, command_line

from inarch import discovery
from inarch.discovery import installed, version

FITTING = ["inarch", f"inarch=={version()}", "inarch >=0.1, <2", "inarch[vision]>=0.0.1", "Inarch (>=0.1)",
           "inarch>=99; extra == 'next'", "inarch-tools>=99", "inarch.x>=99", "numpy>=99",
           "inarch @ https://example.org/inarch.whl"]  # fmt: skip
OTHER = {
    "inarch>=1,<2": ">=1,<2",
    "inarch<0.1": "<0.1",
    "inarch[text] ~=99.1": "~=99.1",
}


@pytest.fixture
def find(install, monkeypatch: pytest.MonkeyPatch):
    """Install a plugin of which the import fails the test, and return what is known of it."""

    def find(*requires: str):
        site = install("mine", "raise AssertionError('imported')", requires=requires)
        monkeypatch.syspath_prepend(str(site))
        return next(plugin for plugin in installed() if plugin.name == "mine")

    return find


@pytest.mark.parametrize("requirement", FITTING)
def test_a_plugin_that_was_built_for_this_inarch_may_be_imported(requirement: str, find) -> None:
    assert find(requirement).error is None


@pytest.mark.parametrize("requirement", OTHER)
def test_a_plugin_that_was_built_for_another_inarch_says_what_to_do(requirement: str, find) -> None:
    plugin, versions = find("numpy", requirement), OTHER[requirement]
    assert plugin.error == f"it was built for inarch {versions}, and this is inarch {version()}"
    assert plugin.advice == (
        f"pip install --upgrade inarch-mine, or where no newer one knows this inarch: pip install 'inarch{versions}'"
    )
    assert plugin.requires == requirement


def test_a_requirement_that_cannot_be_understood_is_told(find) -> None:
    assert find("inarch around 3").error == "its distribution requires 'inarch around 3', which cannot be understood"


def test_a_development_version_of_inarch_is_within_the_range_of_its_release(find, monkeypatch) -> None:
    monkeypatch.setattr(discovery, "version", lambda: "0.2.0.dev3")
    assert find("inarch>=0.1,<0.3").error is None


def test_a_plugin_for_another_inarch_is_not_imported_and_harms_no_command(install, toy_recipe) -> None:
    site = install("mine", "print('imported')", requires=["inarch>=1,<2"])
    done = command_line(site, "check", toy_recipe)
    assert done.returncode == 0 and "imported" not in done.stderr
    done = command_line(site, "check", toy_recipe, "head=mine")
    assert "plugin 'mine' (inarch-mine 1.0): it was built for inarch >=1,<2, and this is inarch " in done.stderr
    listed = {p["name"]: p for p in json.loads(command_line(site, "plugins", "--json").stdout)}
    assert listed["mine"]["requires"] == "inarch>=1,<2" and listed["mine"]["milliseconds"] is None


def test_names_and_origins_cannot_steer_a_terminal(find, install, tmp_path) -> None:
    install("red", METRIC.format(name="m"), distribution="evil")
    information = tmp_path / "site" / "evil-1.0.dist-info"
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: ev\x1b[31mil\nVersion: 1\n")
    find()
    assert "ev\\x1b[31mil" in {plugin.distribution for plugin in installed()}


def test_the_hash_of_a_distribution_is_of_its_files_and_not_of_how_they_were_installed(
    tmp_path, install, monkeypatch
) -> None:
    site = install("mine", METRIC.format(name="m"))
    monkeypatch.syspath_prepend(str(site))
    record = site / "inarch_mine-1.0.dist-info" / "RECORD"
    assert discovery.files_hash("inarch-mine") is None and discovery.files_hash("nobodys") is None
    found = []
    for lines in (["inarch_mine.py,sha256=abc,90", "inarch_mine-1.0.dist-info/INSTALLER,sha256=pip,4"],
                  ["inarch_mine-1.0.dist-info/INSTALLER,sha256=uv,2", "inarch_mine.py,sha256=abc,90"],
                  ["inarch_mine.py,sha256=abd,90"]):  # fmt: skip
        record.write_text("\n".join(lines) + "\n")
        found.append(discovery.files_hash("inarch-mine"))
    assert found[0] == found[1] != found[2] and len(found[0]) == 64
    (record.parent / "direct_url.json").write_text('{"dir_info": {"editable": true}, "url": "file:///here"}')
    assert discovery.files_hash("inarch-mine") is None
