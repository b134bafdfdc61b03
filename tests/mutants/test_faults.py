"""One fault of each kind is caught by the check that should; `benchmarks/conformance.py` tries them all."""

from pathlib import Path

from mutants.faults import FAULTS
from mutants.trying import try_all

CHOSEN = (
    "a seed is set at import",
    "padding leaks into the next layer",
    "the loss is a mean",
    "test is part of train",
    "a state has no reduction",
    "epochs are not the recipe's",
)


def test_faults_are_caught_by_the_check_that_should(tmp_path: Path) -> None:
    faults = [
        fault for fault in FAULTS if fault.name in CHOSEN and (fault.kind != "datasets" or "set" not in fault.name)
    ]
    assert {fault.kind for fault in faults} == {fault.kind for fault in FAULTS}
    for fault, tried in try_all(faults, tmp_path, only_expected=True):
        assert set(tried.caught) == {fault.check}, f"{fault.name}: {tried}"


def test_every_fault_is_an_edit_of_its_own() -> None:
    assert len(FAULTS) >= 40 and len({(fault.kind, fault.name) for fault in FAULTS}) == len(FAULTS)
