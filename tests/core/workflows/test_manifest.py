"""The manifest of a run; what is checked against it is tested in `test_verify`."""

from pathlib import Path

import pytest

from inarch.errors import RunError
from inarch.workflows import manifest


def test_a_run_that_vanished_before_its_manifest_is_told_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"/run: cannot be read: No such file or directory$"):
        manifest.seal(tmp_path / "run")
