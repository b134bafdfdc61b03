"""Which plugins are installed, and which of them may be imported: known from metadata, without importing any."""

import hashlib
import logging
import os
import re
from collections.abc import Iterator
from email.message import Message
from email.parser import HeaderParser
from functools import cache
from importlib import metadata

from inarch import switches
from inarch.errors import printable, unknown
from inarch.guard import Plugin

GROUP = "inarch"
CORE = "core"
ALLOWED = "INARCH_PLUGINS"
_REQUIREMENT = re.compile(r"inarch(?![\w.-])\s*(?:\[[^\]]*\])?\s*\(?\s*(?P<versions>[^;)\[]*?)\s*\)?\s*", re.IGNORECASE)
"""A requirement on inarch for everybody: one with a marker is of an extra or of another system."""


@cache
def version() -> str:
    """Return inarch's own version; 0 where it runs without being installed."""
    try:
        return str(_headers(metadata.distribution("inarch"))["Version"])
    except metadata.PackageNotFoundError:
        return "0"


def installed() -> list[Plugin]:
    """Return every plugin with an entry point, sorted by name; two of one name are both there.

    One that must not be imported says so: `error` where it was built for another inarch, `disabled` where somebody
    does not want it.
    """
    own, off, allowed = version(), switches.disabled(), allowed_names()
    found = []
    for point in _points():
        plugin = _describe(point)
        if plugin.name in off:
            plugin.disabled = " and ".join(map(str, off[plugin.name]))
        elif allowed is not None and plugin.name not in allowed:
            plugin.disabled = f"{ALLOWED}={','.join(allowed)}"
        else:
            _refuse_other(plugin, own)
        found.append(plugin)
    return sorted(found, key=lambda plugin: (plugin.name, plugin.distribution))


def allowed_names() -> list[str] | None:
    """Return the plugins that $INARCH_PLUGINS allows; None where it is not set, and all are."""
    written = os.environ.get(ALLOWED)
    return None if written is None else [name.strip() for name in written.split(",") if name.strip()]


def unknown_allowed(names: list[str]) -> list[str]:
    """Say of each plugin that $INARCH_PLUGINS allows, but that is not among `names`, what it may have been."""
    return [f"{ALLOWED}: {unknown('plugin', name, names)}" for name in allowed_names() or () if name not in names]


def files_hash(distribution: str) -> str | None:
    """Return the hash of what a distribution's installer wrote down of its files: names and their hashes.

    None where it did not, and for a development install: its files are elsewhere and change.
    """
    try:
        found = metadata.distribution(distribution)
        record, origin = found.read_text("RECORD"), found.read_text("direct_url.json")
    except (metadata.PackageNotFoundError, OSError):
        return None
    if not record or '"editable": true' in (origin or ""):
        return None
    files = [line.rsplit(",", 1)[0] for line in record.splitlines() if ".dist-info/" not in line and "sha256=" in line]
    return hashlib.sha256("\n".join(sorted(files)).encode()).hexdigest()


def install_for(distribution: str, missing: str | None) -> str:
    """Say what to type where a distribution's code misses a package: its extra that brings it, or all of it again."""
    try:
        lines = metadata.requires(distribution) or []
    except metadata.PackageNotFoundError:
        lines = []
    wanted = (missing or "").partition(".")[0].lower().replace("_", "-")
    for line in lines:
        name, extra = re.match(r"[\w.-]*", line), re.search(r"extra\s*==\s*[\"']([\w.-]+)", line)
        if name and extra and name[0].lower().replace("_", "-") == wanted:
            return f"pip install '{distribution}[{extra[1]}]'"
    return f"pip install {distribution}"


def way_back(plugin: Plugin) -> str:
    """Say what to type for a disabled plugin to be used again."""
    by_variable = (plugin.disabled or "").startswith(f"{ALLOWED}=")
    allowed = [*(allowed_names() or ()), plugin.name]
    return f"{ALLOWED}={','.join(allowed)}" if by_variable else f"inarch plugins enable {plugin.name}"


def _points() -> Iterator[metadata.EntryPoint]:
    try:
        yield from list(metadata.entry_points(group=GROUP))
    except Exception:  # some distribution's metadata cannot be read: all others are, and theirs once each
        seen = set()
        for distribution in metadata.distributions():
            try:
                points, name = list(distribution.entry_points.select(group=GROUP)), distribution.name
            except Exception as error:
                place = getattr(distribution, "_path", distribution)
                logging.getLogger("inarch").warning("%s: metadata that cannot be read: %s", place, error)
                continue
            yield from points if name not in seen else ()
            seen.add(name)


def _describe(point: metadata.EntryPoint) -> Plugin:
    """Return what metadata says of a plugin, and of what its distribution requires of inarch."""
    told = _headers(point.dist) if point.dist else Message()
    name, number = (printable(str(told.get(key, "unknown"))) for key in ("Name", "Version"))
    plugin = Plugin(printable(point.name), point.value, name, number)
    if name != "inarch":
        plugin.requires = next(filter(_REQUIREMENT.fullmatch, told.get_all("Requires-Dist") or ()), None)
    return plugin


def _headers(distribution: metadata.Distribution) -> Message:
    """Return a distribution's metadata less its description, a README that takes ten times as long to parse."""
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    return HeaderParser().parsestr(text.partition("\n\n")[0])


def _refuse_other(plugin: Plugin, own: str) -> None:
    """Note on a plugin that was built for another inarch that it must not be imported."""
    match = _REQUIREMENT.fullmatch(plugin.requires or "")
    if not match or not match["versions"] or match["versions"].startswith("@"):  # any version, or one address
        return
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        if not SpecifierSet(match["versions"]).contains(own, prereleases=True):
            plugin.error = f"it was built for inarch {match['versions']}, and this is inarch {own}"
            plugin.advice = (
                f"pip install --upgrade {plugin.distribution}, or where no newer one knows this inarch: "
                f"pip install 'inarch{match['versions']}'"
            )
    except InvalidSpecifier:
        plugin.error = f"its distribution requires '{printable(plugin.requires or '')}', which cannot be understood"
        plugin.advice = f"pip install --upgrade {plugin.distribution}"
