"""A process that waits for another in vain says for what, and how long it waited."""

from datetime import timedelta

import pytest
from attempts.case_waiting import wait_in_vain
from group import fork_group

from inarch.errors import RunError
from inarch.training.waiting import TIMEOUT, timeout, waiting_for


def test_the_timeout_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert timeout() == timedelta(seconds=TIMEOUT)
    monkeypatch.setenv("INARCH_TIMEOUT", "2.5")
    assert timeout() == timedelta(seconds=2.5)


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "inf", "1e99"])
def test_a_timeout_that_is_none_is_an_error(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INARCH_TIMEOUT", text)
    with pytest.raises(RunError, match=f"INARCH_TIMEOUT: expected seconds above 0, found '{text}'"):
        timeout()


@pytest.mark.parametrize("told", ["shapes do not match", "DataLoader timed out after 5 seconds"])
def test_other_errors_pass_as_they_are(told: str) -> None:
    with pytest.raises(RuntimeError, match=told), waiting_for("training step {}", 3):
        raise RuntimeError(told)


@pytest.mark.parametrize("mode", ["ended", "hangs"])
def test_a_process_tells_for_what_it_waited_in_vain(mode: str) -> None:
    fork_group(wait_in_vain, 2, mode, timeout=60)
