"""What the benchmarks share: the line that a figure is printed as, and child processes. Measures nothing itself."""

import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
DEMO_RECIPE = ROOT / "recipes/vision/elpv_efficientnet_lite0_full.yaml"
LIBRARIES = ("inarch", "torch", "torchaudio", "torchvision", "timm", "transformers", "accelerate")


def report(name, value, unit, **details):
    """Print one figure as one JSON line, with the command and whatever it depends on."""
    facts = {"name": name, "value": rounded(value), "unit": unit}
    facts.update({key: rounded(detail) for key, detail in details.items()})
    facts["command"] = " ".join(["python", *sys.argv])
    facts.update(versions=versions(), hardware=hardware(), date=datetime.now(UTC).date().isoformat())
    print(json.dumps(facts), flush=True)


def rounded(value):
    """Return numbers to four significant digits, inside lists and mappings as well."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, list | tuple):
        return [rounded(entry) for entry in value]
    return {key: rounded(entry) for key, entry in value.items()} if isinstance(value, dict) else value


def versions():
    """Return the versions of Python and of the libraries that figures depend on, where they are installed."""
    found = {"python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


def hardware():
    """Return the processor, its cores, and the GPU if torch was used and sees one."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")] or [platform.processor()]
    torch = sys.modules.get("torch")
    gpu = f", {torch.cuda.get_device_name()}" if torch and torch.cuda.is_available() else ""
    return f"{names[0]}, {os.cpu_count()} cores{gpu}"


def child(*arguments):
    """Run the calling script again in a process of its own; return the JSON on its last line."""
    command = [sys.executable, sys.argv[0], *map(str, arguments)]
    environment = {
        "GOMP_SPINCOUNT": "1000",
        "HF_HUB_OFFLINE": "1",
        **os.environ,
    }  # spinning threads starve a busy machine
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if finished.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{finished.stderr[-2000:]}")
    return json.loads(finished.stdout.splitlines()[-1])


def spread(values):
    """Return the median of some figures with the smallest and the largest."""
    return {"median": median(values), "smallest": min(values), "largest": max(values), "runs": len(values)}
