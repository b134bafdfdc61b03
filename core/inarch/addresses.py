"""Where files are: a path, ``package:DIST/FILE``, a file inside an installed package, or a model of the hub.

Light: finds a package's file by the distribution's metadata and never imports the package.
"""

import os
import re
import stat
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import metadata
from pathlib import Path

from inarch.errors import InarchError, WeightsError, unknown
from inarch.silence import quiet

PREFIX = "package:"
_LOCAL = re.compile(r"package:|[./~]|[^/]*$|.*/.*/")
"""What cannot be owner/name of the hub. (Of the few models of the hub without an owner, each has one by now.)"""


_KINDS = {
    stat.S_IFREG: "a file",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def kind(path: Path) -> str:
    """Say what is at a path, `a file` or `a folder`: whoever opens a pipe may wait for ever. OSError: nothing is."""
    return _KINDS[stat.S_IFMT(path.stat().st_mode)]


def locate(address: str | Path, error: type[InarchError]) -> Path:
    """Return the path of an existing file or folder, or raise `error` saying what to install or where it looked."""
    text = str(address)
    if text.startswith(PREFIX):
        return _in_package(text, error)
    path = Path(os.path.expanduser(text))  # noqa: PTH111  (Path.expanduser raises for an unknown user)
    if not text or not os.path.exists(path):  # noqa: PTH110  (Path.exists raises for names that are too long)
        near = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        close = get_close_matches(path.name, near, n=1)
        hint = f". Did you mean '{close[0]}'?" if close else ""
        raise error(f"{text or 'an empty path'}: there is no such file or folder{hint}")
    return path


def absolute(address: str) -> str:
    """Return an address; of a folder or file that is here, which may be relative, the absolute path."""
    path = Path(address).expanduser()
    return str(path.resolve()) if address not in ("", "pretrained", "none") and path.exists() else address


def find_model(model: str, wanted: Sequence[str], revision: str | None = None) -> Path:
    """Return where a model is: a path, package:DIST/FOLDER, or OWNER/NAME of the hub, of which `wanted` is fetched.

    wanted: patterns of file names. revision: branch, tag or commit of the hub. What is not there is a WeightsError.
    """
    if Path(model).exists() or _LOCAL.match(model):
        try:
            return locate(model, WeightsError)
        except WeightsError as error:
            plain = not re.search(r"[:/~]", model)
            hint = "; a model of the hub is OWNER/NAME, google-bert/bert-base-uncased" if plain else ""
            raise WeightsError(f"{error}{hint}") from None
    from huggingface_hub import snapshot_download

    try:
        with quiet():
            return Path(snapshot_download(model, revision=revision, allow_patterns=list(wanted)))
    except Exception as error:  # the hub's client raises anything
        told = str(error).strip().split("\n")[0]
        raise WeightsError(
            f"{model} is no folder here, and could not be fetched from the hub ({type(error).__name__}: {told}). "
            "Without a network, let model be the path of a folder, ./NAME for example, or package:DISTRIBUTION/FOLDER "
            "of an installed package."
        ) from error


def _in_package(address: str, error: type[InarchError]) -> Path:
    name, _, inside = address.removeprefix(PREFIX).partition("/")
    if not name or not inside or Path(inside).is_absolute() or ".." in Path(inside).parts:
        raise error(f"{address}: expected {PREFIX}DISTRIBUTION/FILE, a file inside an installed package")
    try:
        distribution = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        raise error(f"{address}: the package '{name}' is not installed. Try: pip install --no-deps {name}") from None
    path = Path(str(distribution.locate_file(inside)))
    if not path.exists():
        files = [str(file) for file in distribution.files or []]
        raise error(f"{address}: {unknown('file', inside, files)}")
    return path
