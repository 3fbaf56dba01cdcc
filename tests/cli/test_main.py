"""What holds for every command: help with an example, exit codes, no traceback."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from tests.common.commands import call

from bertram.cli.main import COMMANDS
from bertram.errors import RunError

COMMAND_LINES = [[name] for name in COMMANDS if name != "data"] + [
    ["data", one] for one in ("describe", "check", "phrases")
]
HELP_OF_ALL = """
import contextlib, io, sys
from bertram.cli.main import main
for words in {lines}:
    sys.argv = ["bertram", *words, "--help"]
    with contextlib.redirect_stdout(io.StringIO()):
        main()
print(*sys.modules)
"""


@pytest.mark.parametrize("words", COMMAND_LINES, ids=" ".join)
def test_help_says_what_a_command_does_and_shows_an_example(words: list[str]) -> None:
    code, out, err = call(*words, "--help")
    assert (code, err) == (0, "")
    assert out.startswith("Usage: bertram " + " ".join(words))
    example = out[out.index("Example") :]
    assert "bertram " + " ".join(words) in example


def test_help_of_every_command_loads_nothing_heavy() -> None:
    code = HELP_OF_ALL.format(lines=COMMAND_LINES)
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numpy", "scipy", "polars", "matplotlib", "fastapi", "onnx", "tokenizers"} & set(loaded)


def test_without_a_command_all_are_listed() -> None:
    code, out, _ = call()
    assert code == 0
    assert all(f"{name} " in out and text.split()[0] in out for name, text in COMMANDS.items())


def test_version() -> None:
    assert call("--version") == (0, version("bertram") + "\n", "")


@pytest.mark.parametrize(
    "words",
    [
        ["frobnicate"],
        ["evaluate"],
        ["evaluate", "RUN", "--split", "training"],
        ["predict", "RUN"],
        ["submission", "RUN"],
        ["score", "a.csv", "--task", "sst"],
        ["compare", "--split", "dev"],
        ["soup", "RUN", "RUN"],
        ["ensemble", "--out", "x"],
        ["predict", "RUN", "--task", "sst", "--batch-size", "0"],
        ["serve", "RUN", "--port", "70000"],
        ["ablate", "--factors", "smart,mse", "--seeds", "0"],
        ["ablate", "--factors", "smart,mse", "--design", "fractional", "--resolution", "2"],
        ["reproduce", "--jobs", "0"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_2(words: list[str]) -> None:
    code, out, err = call(*words)
    assert (code, out) == (2, "")
    assert "Error" in err or err.startswith("bertram: ")
    assert "Traceback" not in err


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_output_that_cannot_be_written_is_one_line_and_a_closed_pipe_is_none() -> None:
    words = [sys.executable, "-m", "bertram", "--help"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "bertram: output: No space left on device\n")
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(words, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_commands_are_listed_in_the_order_in_which_they_are_used() -> None:
    _, out, _ = call("--help")
    places = [out.index(f"│ {name} ") for name in COMMANDS]
    assert places == sorted(places)


def test_a_failure_is_one_line_and_a_traceback_only_on_demand(tmp_path: Path) -> None:
    missing = tmp_path / "nothing"
    assert call("evaluate", missing) == (1, "", f"bertram: {missing}: there is no such run directory\n")
    with pytest.raises(RunError):
        call("evaluate", missing, "--debug")
