"""The store of features in several processes at once, in one that is killed, and on a full disk."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from group import TESTS
from stored import ABOUT, key, rows_of

from inarch.features.store import Store

FULL = """
import resource, sys
import numpy as np
from pathlib import Path
from stored import *
table = filled(Store(Path(sys.argv[1])), range(4))
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))  # as a disk that has no room for more
table.write(*rows_of(range(4, 1000)))
print(*table.notes)
assert table.read([key(number) for number in range(5)])[1].tolist() == [True] * 4 + [False]
"""


def test_a_disk_that_is_full_is_told_and_what_was_there_stays(tmp_path: Path) -> None:
    told = run(FULL, tmp_path)
    assert "features are used without being stored: File too large" in told
    assert [path.name[0] for path in tmp_path.rglob("*") if path.is_file()].count(".") == 0


def run(script: str, *arguments: object) -> str:
    return finished(start(script, *arguments))


def start(script: str, *arguments: object) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finished(process: "subprocess.Popen[str]") -> str:
    told = process.communicate(timeout=60)[0]
    assert process.returncode == 0, told
    return told


TOGETHER = """
import sys
import numpy as np
from pathlib import Path
from stored import *
first, removing = int(sys.argv[2]), sys.argv[3] == "removing"
for _ in range(15):
    table = Store(Path(sys.argv[1])).table(ABOUT)
    for start in range(first, first + 60, 20):
        table.write(*rows_of(range(start, start + 20)))
        numbers = np.arange(first, start + 20)
        values, whole = table.read([key(int(number)) for number in numbers])
        assert removing or whole.all(), whole
        assert values is None or (values[whole][:, 0] == 1000 * numbers[whole]).all(), values
    if removing:
        Store(Path(sys.argv[1])).remove(table.path)
    else:
        assert table.notes == [], table.notes
"""


def test_processes_write_the_same_table_at_once(tmp_path: Path) -> None:
    for process in [start(TOGETHER, tmp_path, first, "") for first in (0, 20, 20)]:
        finished(process)
    table = Store(tmp_path).table(ABOUT)
    values, whole = table.read([key(number) for number in range(80)])
    assert whole.all()
    assert values is not None
    assert values.tolist() == rows_of(range(80))[1].tolist()
    assert table.notes == []


def test_processes_that_remove_what_others_write_make_nothing_wrong(tmp_path: Path) -> None:
    for process in [start(TOGETHER, tmp_path, first, "removing") for first in (0, 20)]:
        finished(process)
    assert Store(tmp_path).tables() == []


KILLED = """
import sys
import numpy as np
from pathlib import Path
from stored import *
numbers = iter(range(10**9))
table = Store(Path(sys.argv[1])).table(ABOUT)
print("begun", flush=True)
while True:
    start = 50 * next(numbers)
    table.write(*rows_of(range(start, start + 50), 2000))
"""


def test_a_writer_that_is_killed_leaves_whole_features_and_nothing_else(tmp_path: Path) -> None:
    for round in range(4):
        process = start(KILLED, tmp_path)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.11 + 0.013 * round)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    (tmp_path / "features" / ".half").write_bytes(b"half")  # as one that is killed while it writes leaves it
    table = Store(tmp_path).table(ABOUT)
    values, whole = table.read([key(number) for number in range(50)])
    assert values is not None
    assert whole.all()
    assert values.tolist() == rows_of(range(50), 2000)[1].tolist()
    assert table.notes == []
    table.write(*rows_of(range(50), 2000))
    assert not [path for path in tmp_path.rglob(".*") if path.name.startswith(".")]
