"""Faults of a plugin as such: what importing it does, and what its distribution says."""

from functools import partial

from mutants.fault import Fault

_TOP = "from inarch import Register, hookimpl\n"
_TYPING = "from typing import TYPE_CHECKING, Annotated, Any\n"


def _at_import(name: str, code: str, check: str) -> Fault:
    return Fault(name, "plugins", "__init__.py", _TOP, f"{_TOP}\n{code}\n", check)


_fault = partial(Fault, kind="plugins")

FAULTS = [
    _fault("torch is imported at the top", file="builders.py", before=_TYPING, after=f"{_TYPING}\nimport torch\n",
           check="imports_no_heavy_library"),
    _at_import("a seed is set at import", "import random\nrandom.seed(0)", "import_seeds_nothing"),
    _at_import("the working directory is changed at import", "import os\nos.chdir('/')",
               "import_keeps_the_working_directory"),
    _at_import("something is printed at import", "print('seismic 0.1 is ready')", "import_prints_nothing"),
    _at_import("the environment is changed at import", "import os\nos.environ['OMP_NUM_THREADS'] = '1'\n"
               "os.environ['SEISMIC_READY'] = 'yes'", "import_keeps_the_environment"),
    _at_import("warnings are silenced at import", "import warnings\nwarnings.filterwarnings('ignore')",
               "import_keeps_warnings_and_logging"),
    _at_import("logging is configured at import", "import logging\nlogging.basicConfig(level=logging.DEBUG)",
               "import_keeps_warnings_and_logging"),
    _at_import("a thread is started at import", "import threading, time\n"
               "threading.Thread(target=time.sleep, args=(5,), daemon=True).start()", "import_starts_nothing"),
    _at_import("a file is written at import", "import pathlib, tempfile\n"
               "(pathlib.Path(tempfile.gettempdir()) / 'seismic.cache').write_text('')", "import_writes_no_file"),
    _at_import("the network is wanted at import", "import socket\ntry:\n"
               "    socket.getaddrinfo('updates.invalid', 443)\nexcept OSError:\n    pass", "import_needs_no_network"),
    _at_import("a signal is handled from import on", "import signal\nsignal.signal(signal.SIGUSR1, signal.SIG_IGN)",
               "import_keeps_the_interpreter"),
    _fault("a private module of inarch is imported", file="builders.py", before="from inarch import Dataset, Range,",
           after="from inarch.schema import Range\nfrom inarch import Dataset,", check="uses_public_names_only"),
    _fault("a hook is not marked", file="__init__.py",
           before="@hookimpl\ndef register_strategies", after="def register_strategies", check="hooks_are_marked"),
    _fault("components are registered in the order of a set", file="__init__.py",
           before='    register("seismic_last_layers", builders.last_layers)',
           after='    for name in {"seismic_last_layers", "seismic_top", "seismic_end", "seismic_tail"}:\n'
                 "        register(name, builders.last_layers)",
           check="registers_the_same_in_every_process"),
    _fault("an option has no annotation", file="builders.py", before="seed: int = 0", after="seed=0",
           check="can_be_loaded"),
    _fault("the distribution does not say which inarch it wants", file="METADATA",
           before="Requires-Dist: inarch>=0.1,<0.2", after="Requires-Dist: pyarrow>=21",
           check="distribution_states_its_inarch"),
    _fault("nobody knows under which licence it is", file="METADATA", before="License-Expression: Apache-2.0\n",
           after="", check="distribution_has_a_licence"),
]  # fmt: skip
