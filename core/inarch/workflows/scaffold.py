"""A new plugin's package, written from the template in ``templates/plugin``."""

import keyword
import re
import tempfile
from dataclasses import dataclass
from datetime import date
from importlib import metadata, resources
from importlib.util import find_spec
from pathlib import Path

from packaging.version import Version

from inarch.errors import PluginError, RunError
from inarch.plugins import CORE, GROUP

LICENSES = ("Apache-2.0", "MIT", "BSD-3-Clause", "proprietary")


@dataclass(frozen=True)
class Names:
    """The names of a plugin: all are made of its distribution's."""

    distribution: str
    """What pip installs: inarch-seismic."""

    @property
    def package(self) -> str:
        """What Python imports: inarch_seismic."""
        return self.distribution.replace("-", "_")

    @property
    def plugin(self) -> str:
        """The entry point's name, and what its components' names begin with: seismic."""
        return self.package.removeprefix("inarch_")


def scaffold(distribution: str, domain: str, folder: Path, license: str = LICENSES[0], author: str = "") -> Path:
    """Write the package of a new plugin to `folder`/`distribution`, whole or not at all, and return where it is.

    domain: what the example backbone is for, a word. author: who holds the copyright; default: the plugin's authors.
    """
    names = _checked(distribution)
    if not re.fullmatch(r"[^\W\d][\w-]*", domain):
        raise PluginError(
            f"--domain: expected a word such as timeseries, of letters, digits, - and _, found {domain!r}"
        )
    written = folder / names.distribution
    if written.exists() or written.is_symlink():
        raise RunError(f"{written} exists; remove it, or choose another name or another --out")
    try:
        from cookiecutter.generate import generate_files  # part of an extra
    except ImportError as error:
        raise PluginError(
            f"plugins are written with cookiecutter, which is missing ({error}). Try: pip install 'inarch[scaffold]'"
        ) from None
    answers = {
        "distribution": names.distribution,
        "package": names.package,
        "plugin": names.plugin,
        "domain": domain,
        "license": license,
        "author": author or f"the authors of {names.distribution}",
        "year": str(date.today().year),
        "requirement": requirement(metadata.version("inarch")),
    }
    try:
        with (
            resources.as_file(resources.files("inarch") / "templates" / "plugin") as template,
            tempfile.TemporaryDirectory(prefix=f".{names.distribution}-", dir=folder) as aside,
        ):
            made = generate_files(template, {"cookiecutter": answers}, aside, accept_hooks=False)
            Path(made).rename(written)
    except OSError as error:
        raise RunError(f"{written} could not be written: {error.strerror}") from None
    return written


def requirement(version: str) -> str:
    """Return what a plugin that is built for a version of inarch requires: that minor version, 0.1 of 0.1.3."""
    major, minor = Version(version).release[:2]
    return f"inarch>={major}.{minor},<{major}.{minor + 1}"


def _checked(distribution: str) -> Names:
    """Return the names that a distribution's name makes, or raise PluginError where one is bad or taken."""
    normal = re.sub(r"[-_.\s]+", "-", distribution.lower()).strip("-")
    if distribution != normal or not re.fullmatch(r"[a-z0-9][a-z0-9-]*", distribution):
        proposed = re.sub(r"[^a-z0-9-]", "", normal)
        hint = f" Try: {proposed}" if proposed and proposed != distribution else ""
        told = "a distribution's name, small letters and digits with hyphens between them, such as inarch-seismic"
        raise PluginError(f"expected {told}, found {distribution!r}.{hint}")
    names = Names(distribution)
    if not names.package.isidentifier() or keyword.iskeyword(names.package):
        told = f"Python could not import a package called {names.package!r}"
        raise PluginError(f"{distribution}: {told}. Try: inarch-{distribution}")
    _refuse_taken(names)
    return names


def _refuse_taken(names: Names) -> None:
    """Refuse names of what is installed; read from metadata, for a plugin that is broken is taken too."""
    for found in metadata.distributions():
        if found.name and re.sub(r"[-_.]+", "-", found.name.lower()) == names.distribution:
            raise PluginError(f"{names.distribution}: taken: {found.name} {found.version} is installed")
    points = {point.name: point for point in metadata.entry_points(group=GROUP)}
    if names.plugin in (CORE, *points):
        owner = points[names.plugin].dist if names.plugin in points else None
        told = f"{owner.name} {owner.version}" if owner else "inarch itself"
        raise PluginError(f"{names.distribution}: taken: a plugin called '{names.plugin}' is installed, of {told}")
    if find_spec(names.package) is not None:
        raise PluginError(f"{names.distribution}: taken: Python imports another package as '{names.package}'")
