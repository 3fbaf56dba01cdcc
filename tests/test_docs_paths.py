"""Files, modules, targets and commands that the documents name in running text exist."""

import re
import shlex
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from bertram import options
from bertram.cli.main import app

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "results").glob("*/README.md")),
]
TOP_FOLDERS = ("src", "tests", "docs", "results", "tools", "benchmarks")
FENCED = re.compile(r"^ *```.*?^ *```$|^<!-- python$.*?^-->$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`]+)`")
PATH = re.compile(r"[\w.-]+(?:/[\w.-]+)*")
UNWANTED = ("utils.py",)  # a name that CONTRIBUTING.md advises against


def texts(document: Path) -> Iterator[str]:
    """The code spans and the indented lines of a document, without its fenced blocks; continued lines are joined."""
    prose = FENCED.sub("", document.read_text(encoding="utf-8")).replace("\\\n", " ")
    paragraphs = "\n\n".join(
        " ".join(lines.split("\n")) for lines in prose.split("\n\n") if not lines.startswith("    ")
    )
    yield from SPAN.findall(paragraphs)
    yield from (line.strip() for line in prose.splitlines() if line.startswith("    "))


def words_of(text: str) -> list[str]:
    """The words of a command, up to a comment or a redirection."""
    return shlex.split(re.split(r"  #|   +| [>|&] ", text)[0].replace("…", "..."))


@cache
def python_files() -> list[str]:
    """The Python files of the repository, by their paths in it."""
    return [file.relative_to(ROOT).as_posix() for folder in TOP_FOLDERS for file in (ROOT / folder).rglob("*.py")]


def is_missing_path(word: str) -> bool:
    """Whether a word is the path of a file of the repository that does not exist.

    A path begins with a folder of the repository, or ends with .py and is found below src, tests or benchmarks.
    """
    path = word.partition("::")[0].rstrip("/")
    if not PATH.fullmatch(path) or path in UNWANTED:
        return False
    if path.endswith(".py"):
        return not any(f"/{file}".endswith(f"/{path}") for file in python_files())
    return "/" in path and path.split("/")[0] in TOP_FOLDERS and not (ROOT / path).exists()


def named(document: Path) -> Iterator[tuple[str, list[str]]]:
    """Each text that is a command or a path, with its words."""
    for text in texts(document):
        if re.match(r"(bertram|python -m|make|pytest) |[\w.-]+/|\w+\.py$", text):
            yield text, words_of(text)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_paths_modules_and_targets_exist(document: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    missing = []
    for text, words in named(document):
        missing += [f"{word} (in {text!r})" for word in words if is_missing_path(word)]
        if words[:2] == ["python", "-m"]:
            missing += [] if find_spec(words[2].lstrip(".")) else [text]
        if words[:1] == ["make"]:
            missing += [] if words[1] in targets else [text]
    assert not missing


def unknown_words(words: list[str]) -> list[str]:
    """The names of commands, options and fields of the configuration in a command that do not exist.

    Args:
        words: the words after ``bertram``; arguments and values are not examined, since running text leaves them out.
    """
    command, rest = app, words
    while rest and rest[0] in command and not rest[0].startswith("-"):
        command, rest = command[rest[0]], rest[1:]
    if command.default_command is None:  # a group of commands
        return [] if rest in ([], ["--help"]) and command is not app else words
    names = {name for argument in command.assemble_argument_collection() for name in argument.names}
    names |= {"--" + field.name for field in options.fields()}
    names |= {"--help", "--tasks.NAME.extra", "--tasks.NAME.unlabelled"}
    options_used = [word.strip("[]") for word in rest if word.startswith(("--", "[--"))]
    general = [re.sub(r"^--tasks\.[^.]+", "--tasks.NAME", option) for option in options_used]
    return [option for option in general if option not in names]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_commands_and_options_in_running_text_exist(document: Path) -> None:
    commands = [(text, words[1:]) for text, words in named(document) if words[:1] == ["bertram"]]
    unknown = [f"{unknown} in {text!r}" for text, words in commands if (unknown := unknown_words(words))]
    assert not unknown


@pytest.mark.parametrize("wrong", ["trian", "train --smart.wieght 1", "predict RUN --tsk sst", "data chek D"])
def test_wrong_words_would_be_found(wrong: str) -> None:
    assert unknown_words(wrong.split())


@pytest.mark.parametrize("path", ["src/bertram/none", "minbert/none.py", "tests/test_none.py::test_a"])
def test_missing_paths_would_be_found(path: str) -> None:
    assert is_missing_path(path)


def table_rows(text: str) -> dict[str, list[str]]:
    """The cells of the rows of all tables in a text, by the first cell."""
    rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|"))
    return {cells[0]: cells[1:] for cells in rows}


def shortened(score: str) -> str:
    """A score with its interval, to three digits: 0.5080 [0.480, 0.536] is 0.508 [0.480, 0.536]."""
    value, interval = score.split(" ", 1)
    return f"{float(value):.3f} {interval}"


def test_scores_of_the_readme_are_those_of_the_records() -> None:
    readme = table_rows((ROOT / "README.md").read_text(encoding="utf-8"))
    records = table_rows((ROOT / "results" / "README.md").read_text(encoding="utf-8"))
    names = ("sentiment (SST-5), accuracy", "paraphrase (Quora), accuracy", "similarity (STS-B), Pearson")
    outcomes = [*names, "overall, mean with (r + 1) / 2"]
    written = [readme[outcome][1:3] for outcome in outcomes]
    recorded = zip(records["best"][1:5], records["best-ensemble"][2:6], strict=True)
    assert written == [[shortened(mean), shortened(ensemble)] for mean, ensemble in recorded]
