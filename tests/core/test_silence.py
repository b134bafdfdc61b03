"""Libraries are silent for a while, and then as they were."""

import pytest
from huggingface_hub.utils import tqdm as bars
from transformers.utils import logging

from inarch import quiet


def test_what_was_loud_is_loud_again() -> None:
    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    try:
        logging.set_verbosity_info()
        logging.enable_progress_bar()
        with pytest.raises(ZeroDivisionError), quiet():
            assert logging.get_verbosity() == logging.CRITICAL and not logging.is_progress_bar_enabled()
            assert bars(disable=None).disable
            raise ZeroDivisionError
        assert logging.get_verbosity() == logging.INFO and logging.is_progress_bar_enabled()
    finally:
        logging.set_verbosity(before[0])
        (logging.enable_progress_bar if before[1] else logging.disable_progress_bar)()
