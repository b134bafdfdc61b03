"""Try to break every promise: kills, faults of the disk, signals, many processes and machines, hostile input.

    python benchmarks/torture.py [--promise 1] [--only TEXT] [--quick] [--jobs 2] [--keep FOLDER]

Prints, for each promise, cases tried and cases failed, and what failed. All of it takes long; `--quick` is what
the suite runs. It needs an installation for development, and of the checkout the tests, which hold the cases.
Two machines are two network namespaces, for which it must run as root; the report says what was left out.
"""

import argparse
import shutil
import sys
import tempfile
import time
import traceback
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

from figures import ROOT, report

TESTS = ROOT / "tests"
MODULES = sorted(path.stem for path in (TESTS / "attempts").glob("*.py") if not path.stem.startswith(("test_", "case")))


def cases(options):
    """Return the cases asked for, of all modules."""
    sys.path[:0] = [str(TESTS), str(TESTS / "attempts"), str(TESTS / "toy")]
    found = [case for name in MODULES for case in import_module(f"attempts.{name}").cases(not options.quick)]
    return [c for c in found if c.promise.startswith(options.promise) and options.only in c.name]


def attempt(case, options):
    """Run a case in a folder of its own; return how many cases it was, its seconds, and why it failed."""
    start = time.perf_counter()
    folder = Path(tempfile.mkdtemp(dir=options.keep))
    try:
        tried, failure = case.run(folder), None
    except Exception as error:
        tried, failure = 1, "".join(traceback.format_exception(error)[-3:])
    if options.keep is None:
        shutil.rmtree(folder, ignore_errors=True)
    seconds = time.perf_counter() - start
    print(
        f"{'FAILED' if failure else 'ok':6} {seconds:6.1f} s  {case.promise}: {case.name}", file=sys.stderr, flush=True
    )
    if failure:
        print(failure, file=sys.stderr, flush=True)
    return case, tried, seconds, failure


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--promise", default="", help="only this one, by its number")
    parser.add_argument("--only", default="", help="only cases whose name holds this text")
    parser.add_argument("--quick", action="store_true", help="what the suite runs")
    parser.add_argument("--jobs", type=int, default=2, help="cases at a time")
    parser.add_argument("--keep", type=Path, help="leave what cases wrote in this folder")
    options = parser.parse_args()
    tried, failed, seconds = defaultdict(int), defaultdict(list), defaultdict(float)
    with ThreadPoolExecutor(options.jobs) as pool:
        for case, count, took, failure in pool.map(lambda case: attempt(case, options), cases(options)):
            tried[case.promise] += count
            seconds[case.promise] += took
            failed[case.promise] += [case.name] if failure else []
    for promise in sorted(tried):
        report(f"torture/{promise}", tried[promise], "cases tried", failed=len(failed[promise]),
               failures=failed[promise], seconds=seconds[promise], goal="none failed")  # fmt: skip
    sys.exit(1 if any(failed.values()) else 0)


if __name__ == "__main__":
    main()
