"""Records of benchmarks: their folders, the fields that all of them have, and how they are written."""

import json
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
COURSE_FILES = ROOT.parent / "shared" / "data"
BENCHMARKS = ROOT / "results" / "benchmarks"
MEASUREMENTS = ROOT / "results" / "measurements"

MODULES = {  # scripts that records written before the package name, and the modules that took their place
    "benchmarks/calibrate_smart.py": "benchmarks.smart.calibration",
    "benchmarks/measure_rows.py": "benchmarks.training.row_multiples",
    "benchmarks/measure_smart.py": "benchmarks.smart.public_code",
    "benchmarks/measure_surgery.py": "benchmarks.surgery.public_code",
}


def module_of(record: Mapping[str, Any]) -> str:
    """The module that makes a measurement again."""
    script: str = record["script"]
    return MODULES.get(script, script)


def default_data() -> str:
    """The course files relative to the working directory if they are next to this repository, else the sample."""
    return os.path.relpath(COURSE_FILES) if COURSE_FILES.is_dir() else "sample"


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Installed version of each package."""
    return {package: version(package) for package in packages}


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def dated(folder: Path, *, prefix: str = "", quick: bool) -> Path:
    """The file of a record made today; quick ones have a name of their own."""
    return folder / f"{prefix}{datetime.now(UTC):%Y-%m-%d}{'-quick' if quick else ''}.json"


def write(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record and say where."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"written to {path}")
