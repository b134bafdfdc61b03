"""Features that several processes compute together, on one machine and on two."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from accelerate import Accelerator
from group import run_group
from inarch_toy.backbone import Vectors

from inarch.features.store import Store
from inarch.interfaces.backbone import Features

HERE = Path(__file__).parent


class Differing:
    """A forward whose features differ by a little."""

    def __init__(self, forward: Any, difference: float) -> None:
        self.forward, self.difference = forward, difference

    def __get__(self, module: Any, kind: Any) -> Any:
        return lambda vector: self._changed(self.forward(module, vector))

    def _changed(self, found: Features) -> Features:
        return found._replace(pooled=found.pooled + self.difference)


def results(folder: Path, case: str) -> list[tuple[Any, Any]]:
    """What each process wrote: its features, and facts."""
    paths = sorted(folder.glob(f"{case}-*.npy"))
    return [(np.load(path), json.loads(path.with_suffix(".json").read_text())) for path in paths]


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process wrote, in `alone`, and what two did, which had other bits in the stores of two machines."""
    folder = tmp_path_factory.mktemp("together")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(HERE)
        from group_features import NUMBERS, share, write

        forward = Vectors.forward
        (folder / "alone").mkdir()
        share(Accelerator(cpu=True), folder / "alone")
        for machine, difference in enumerate((0, 1e-6)):
            patch.setattr(Vectors, "forward", Differing(forward, difference))
            store = Store(folder / f"machine{machine}")
            write(Accelerator(cpu=True), folder / "alone", f"machine{machine}", NUMBERS, store)
    run_group(HERE / "group_features.py", 2, folder)
    return folder


def test_two_processes_share_the_work_and_get_the_same_features(together: Path) -> None:
    computed = {"new": 13, "stored": 0, "more": 10, "view": 23, "unread": 0}
    for case, count in computed.items():
        [(expected, facts)] = results(together / "alone", case)
        (first, of_first), (second, of_second) = results(together, case)
        assert np.array_equal(first, second)
        assert first == pytest.approx(expected, abs=1e-6)
        assert of_first == of_second == facts
        assert facts["computed"] == count


def test_one_process_of_a_machine_writes(together: Path) -> None:
    names = [sorted(path.name for path in (folder / "features").rglob("*.safetensors"))
             for folder in (together / "alone", together)]  # fmt: skip
    assert len(names[0]) == 3
    assert names[0] == names[1]


def test_machines_agree_on_the_features_where_they_stored_other_bits(together: Path) -> None:
    (expected, _), (other, _) = (results(together / "alone", f"machine{machine}")[0] for machine in range(2))
    assert not np.array_equal(expected, other)
    for found, facts in results(together, "machines"):
        assert np.array_equal(found, expected)
        assert facts["computed"] == 0
