"""What the files of a plugin import of inarch: only what `inarch` itself exports is the same in the next version."""

import ast
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import inarch

_PUBLIC = {*vars(inarch)["__all__"], "testing"}


def files_of_module(module: str) -> list[Path]:
    """Return the Python files of the package that a module is in, or of the module alone."""
    spec = find_spec(module.split(":")[0])
    if spec is None or not spec.origin:
        return []
    if spec.submodule_search_locations is not None:
        return sorted(Path(spec.origin).parent.rglob("*.py"))
    folder = Path(spec.origin).parent
    return sorted(folder.rglob("*.py")) if (folder / "__init__.py").exists() else [Path(spec.origin)]


def private_uses(path: Path) -> Iterator[str]:
    """Yield where a file uses a name of inarch that is not public: `builders.py, line 3: inarch.model`."""
    tree = ast.parse(path.read_bytes(), str(path))
    for node in ast.walk(tree):
        for name in _names(node):
            first = name.split(".")[1]
            deeper = name.count(".") > 1 and isinstance(node, ast.Import | ast.ImportFrom) and first != "testing"
            if first not in _PUBLIC or deeper:
                yield f"{path.name}, line {getattr(node, 'lineno', '?')}: {name}"


def _names(node: ast.AST) -> list[str]:
    """Return the dotted names of inarch that a node of a syntax tree uses, `inarch.x` or longer."""
    if isinstance(node, ast.Import):
        found = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and not node.level:
        found = [f"{node.module}.{alias.name}" for alias in node.names]
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        found = [f"{node.value.id}.{node.attr}"]
    elif isinstance(node, ast.Call) and "import_module" in ast.unparse(node.func):
        found = [given.value for given in node.args if isinstance(given, ast.Constant) and isinstance(given.value, str)]
    else:
        found = []
    return [name for name in found if name.startswith("inarch.")]
