"""Silence for libraries that write to the terminal. Light: imports them when asked to."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from logging import CRITICAL
from typing import Any


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the hub's client and, where it is imported, transformers: what matters, inarch says itself."""
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    hub = not are_progress_bars_disabled()
    log: Any = sys.modules.get("transformers.utils.logging")
    verbosity, bars = (log.get_verbosity(), log.is_progress_bar_enabled()) if log else (None, False)
    if log:
        log.set_verbosity(CRITICAL)
        log.disable_progress_bar()
    disable_progress_bars()
    try:
        yield
    finally:
        if log:
            log.set_verbosity(verbosity)
        if bars:
            log.enable_progress_bar()
        if hub:
            enable_progress_bars()
