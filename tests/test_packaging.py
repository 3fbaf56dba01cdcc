"""The lower bounds of the dependencies are the versions that `make lowest` tests with."""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]


def lower_bounds() -> dict[str, Version]:
    """The lowest admitted version of each dependency of the package, and of what its tests need."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    requirements, waiting = [*map(Requirement, project["dependencies"])], ["test"]
    while waiting:
        for requirement in map(Requirement, extras[waiting.pop()]):
            if requirement.name == project["name"]:
                waiting += requirement.extras
            else:
                requirements.append(requirement)
    return {
        canonicalize_name(requirement.name): Version(specifier.version)
        for requirement in requirements
        for specifier in requirement.specifier
        if specifier.operator in (">=", "==")
    }


def test_the_lowest_versions_are_the_lower_bounds() -> None:
    lines = (ROOT / "constraints-lowest.txt").read_text(encoding="utf-8").split()
    lowest = {canonicalize_name(name): Version(version) for name, version in (line.split("==") for line in lines)}
    assert lowest == lower_bounds()
