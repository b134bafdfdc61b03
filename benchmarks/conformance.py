"""How many typical faults the conformance kit catches, seeded one at a time into the package that the scaffold writes.

    python benchmarks/conformance.py [--processes N] [--only WORD]

Each fault of ``tests/mutants`` is an edit of that package. The kit runs every check of the kind of component that it
is in (those that start an interpreter anew only where they are the ones that should notice). One JSON line: how many
faults, how many were caught, how many by the check that should, which were missed; and that the package as it is passes
every check. It ends with 1 if a fault is missed or the good package fails.
"""

import argparse
import json
import platform
import sys
import tempfile
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KINDS = ("plugins", "backbones", "heads", "datasets", "metrics", "strategies")


def main() -> int:
    """Try the good package and all faults, and print what was found."""
    sys.path.insert(0, str(ROOT / "tests"))
    from mutants.faults import FAULTS
    from mutants.trying import try_all, try_good

    parser = argparse.ArgumentParser()
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", default="", help="faults whose kind or name has this word")
    options = parser.parse_args()
    faults = [fault for fault in FAULTS if options.only in f"{fault.kind} {fault.name}"]
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        good = try_good(sorted({fault.kind for fault in faults}, key=KINDS.index), Path(folder) / "good")
        found = {fault: tried for fault, tried in _told(try_all(faults, Path(folder) / "faults", options.processes))}
    wrong = {kind: tried.broken or list(tried.caught) for kind, tried in good.items() if tried.broken or tried.caught}
    missed = [fault.name for fault in faults if not found[fault].caught and not found[fault].broken]
    other = {f.name: sorted(found[f].caught) for f in faults if found[f].caught and f.check not in found[f].caught}
    broken = {fault.name: found[fault].broken for fault in faults if found[fault].broken}
    catching = {name for tried in found.values() for name in tried.caught}
    expected = {fault.check for fault in faults}
    result = {
        "name": "faults caught by the conformance kit",
        "mutants": len(faults),
        "caught": len(faults) - len(missed) - len(broken),
        "caught_by_the_check_that_should": sum(fault.check in found[fault].caught for fault in faults),
        "kinds": dict(Counter(fault.kind for fault in faults)),
        "checks_expected": len(expected),
        "checks_that_caught": len(catching),
        "missed": missed,
        "caught_by_others": other,
        "broken": broken,
        "good_package": {kind: tried.passed for kind, tried in good.items()},
        "good_package_fails": wrong,
        "seconds": round(time.monotonic() - start, 1),
        "command": "python " + " ".join([str(Path(sys.argv[0])), *sys.argv[1:]]),
        "python": platform.python_version(),
        "torch": version("torch"),
        "inarch": version("inarch"),
    }
    print(json.dumps(result))
    return 1 if missed or broken or wrong else 0


def _told(found):
    """Pass on what was found, and tell it while it goes on."""
    for fault, tried in found:
        others = f" and {len(tried.caught) - 1} others" if len(tried.caught) > 1 else ""
        what = "BROKEN" if tried.broken else "MISSED" if not tried.caught else f"{fault.check}{others}"
        if tried.caught and fault.check not in tried.caught:
            what = f"OTHER {sorted(tried.caught)}"
        print(f"{fault.kind}: {fault.name}: {what} ({tried.seconds} s)", file=sys.stderr, flush=True)
        yield fault, tried


if __name__ == "__main__":
    sys.exit(main())
