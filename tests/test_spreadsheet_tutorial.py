"""The commands of docs/spreadsheet.md, one after the other from an empty directory, print what the page shows.

A small encoder without training stands in for the usual one, so numbers and predicted labels differ: they are replaced
before the lines are compared.
"""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.common.commands import call

DOCS = Path(__file__).resolve().parents[1] / "docs"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMANDS = ["data", "data", "train", "report", "crossval", "predict", "predict", "python"]
TRAINS = ("train", "crossval")
FOLDS = ["--folds", "2", "--sampling.steps_per_epoch", "2"]  # five folds say no more
ANSWERS = re.compile(r"\b(billing|defect|delivery|yes|no)\b")
NUMBER = re.compile(r"(?<![\w-])-?\d+(\.\d+)?")


def blocks() -> list[tuple[str, str]]:
    """Language and content of each block of code of the page."""
    text = (DOCS / "spreadsheet.md").read_text(encoding="utf-8")
    return [(match[1], match[2]) for match in BLOCK.finditer(text)]


def run_line(line: str, encoder: Path) -> str:
    """The output of a line of the shell in the working directory."""
    words = shlex.split(line)
    if words[0] == "bertram":
        extra = ["--encoder", encoder, "--precision", "fp32", "--threads", 1] if words[1] in TRAINS else []
        code, out, err = call(*words[1:], *extra, *(FOLDS if words[1] == "crossval" else []))
        assert code == 0, f"{line}: {err}"
        return out + err
    return subprocess.run(line, shell=True, capture_output=True, text=True, check=True).stdout


def shape(line: str) -> str:
    """A line without what differs between two models."""
    line = ANSWERS.sub("LABEL", NUMBER.sub("0", line.replace("(best so far)", "")))
    return re.sub(r"[\s─]+", " ", line).strip()


@pytest.mark.slow
def test_every_command_prints_what_the_page_shows(
    tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(DOCS / "examples" / "tickets.csv", tmp_path)
    ran: list[str] = []
    for language, code in blocks():
        if language == "sh" and code.startswith("bertram") and not code.startswith("bertram serve"):
            run_line(code.strip(), tiny_encoder)
            ran.append(code.split()[1])
        elif language == "toml":
            assert (tmp_path / "tickets.toml").read_text(encoding="utf-8") == code
        elif language == "console":
            for part in re.split(r"^\$ ", code, flags=re.MULTILINE)[1:]:
                command, *shown = part.splitlines()
                printed = [shape(line) for line in run_line(command, tiny_encoder).splitlines()]
                absent = [line for line in shown if line != "..." and shape(line) not in printed]
                assert not absent, f"{command}: not printed: {absent}; printed: {printed}"
                ran.append(shlex.split(command)[1])
        elif language == "python":
            exec(compile(code, "spreadsheet.md", "exec"), {})
            ran.append(language)
    assert [word for word in ran if word in COMMANDS] == COMMANDS
