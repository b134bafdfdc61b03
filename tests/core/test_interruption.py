"""What a signal does to work that heeds it."""

import os
import signal
import subprocess
import sys
import time

import pytest

from inarch import interruption
from inarch.interruption import Interrupted


def test_a_signal_is_raised_at_once_where_nobody_defers_it() -> None:
    with pytest.raises(Interrupted) as stop, interruption.heeded():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    assert stop.value.exit_code == 143


def test_a_deferred_signal_is_told_and_raised_where_the_work_may_end() -> None:
    done = []
    with pytest.raises(Interrupted), interruption.heeded(), interruption.deferred():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
        done.append(interruption.asked())
        with interruption.deferred(False):
            done.append("too far")
    assert done == [signal.SIGINT]


def test_handlers_are_put_back() -> None:
    before = [signal.getsignal(number) for number in interruption.SIGNALS]
    with interruption.heeded(), interruption.heeded():
        assert signal.getsignal(signal.SIGTERM) is not before[0]
    assert [signal.getsignal(number) for number in interruption.SIGNALS] == before


STUCK = """
import hashlib, os, sys, threading
from inarch import interruption

interruption.PATIENCE = float(sys.argv[1])
with interruption.heeded(), interruption.deferred():
    for wait, number in enumerate(sys.argv[2:], 1):
        threading.Timer(0.2 * wait, os.kill, (os.getpid(), int(number))).start()
    print(hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9))  # minutes in C, as if waiting for a process that is gone
"""


@pytest.mark.parametrize(("patience", "signals", "code"), [(0.5, [15], 143), (60, [15, 2], 130)])
def test_work_that_no_signal_reaches_ends_after_a_while_or_at_the_second_one(
    patience: float, signals: list[int], code: int
) -> None:
    arguments = [sys.executable, "-c", STUCK, str(patience), *map(str, signals)]
    ended = subprocess.run(arguments, capture_output=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (code, b"")


def test_a_forked_process_is_ended_by_its_parent_and_does_not_speak_for_it() -> None:
    with interruption.heeded(), interruption.deferred():
        child = os.fork()
        if not child:
            time.sleep(60)
            os._exit(0)
        os.kill(child, signal.SIGTERM)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM
        assert interruption.asked() is None
