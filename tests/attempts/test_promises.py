"""The quick part of the torture; `benchmarks/torture.py` runs all of it."""

from importlib import import_module
from pathlib import Path

import pytest
from attempts.case import Case

MODULES = sorted(
    path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith(("test_", "case"))
)
QUICK = [case for name in MODULES for case in import_module(f"attempts.{name}").cases(False)]


@pytest.mark.parametrize("case", QUICK, ids=lambda case: f"{case.promise}: {case.name}")
def test_a_promise_holds(case: Case, tmp_path: Path) -> None:
    assert case.run(tmp_path) > 0
