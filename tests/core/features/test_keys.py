"""What a row of features is found by: the content of its raw input."""

import hashlib
import pickle
from pathlib import Path

import numpy as np

from inarch.features.keys import digest


def test_raw_inputs_of_other_content_have_other_keys(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"1 2")
    raws = ["1 2", b"1 2", "1 3", "", None, 1, 1.0, True, ["1", "2"], ["12"], {"a": "1 2"}, {"b": "1 2"},
            {"a": "1", "b": "2"}, {"a": ["1", "b"]}, np.ones(2), np.ones(2, np.float32), np.ones((2, 1))]  # fmt: skip
    assert len({digest(raw) for raw in raws}) == len(raws)
    assert [digest(raw) for raw in raws] == [digest(pickle.loads(pickle.dumps(raw))) for raw in raws]
    undecoded = [{"bytes": None, "path": str(tmp_path / "file")}, {"bytes": b"1 2", "path": "elsewhere"}]
    assert {digest(raw) for raw in [tmp_path / "file", *undecoded]} == {hashlib.sha256(b"1 2").digest()}
