"""The documentation holds: its code runs, its excerpts are the source, its commands exist, its figures are measured."""

import ast
import itertools
import json
import re
import shlex
import textwrap
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.common.records import module_of
from bertram import options
from bertram.cli.main import app
from bertram.cli.settings import RECIPE_DEFAULTS
from bertram.config import Config
from bertram.data.checks import check_files
from bertram.minbert.catalogue import recipe
from bertram.options.command_line import pairs
from bertram.tasks import Task

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*ROOT.glob("README.md"), *(ROOT / "docs").glob("*.md")])
RESULTS = ROOT / "results" / "README.md"
MEASUREMENTS = ROOT / "results" / "measurements"
SHELLS = ("sh", "bash", "shell", "console")
FENCE = re.compile(r"^( *)```(\S*) *(.*)$")
HIDDEN = re.compile(r"^<!-- (python)$")  # code that a reader need not see, such as a toy model
UNEXECUTED = re.compile(r"^<!-- not executed: .+ -->$")
NEEDS = re.compile(r"^<!-- needs: (\S+) -->$")  # a package of the dev extra, without which a block is skipped
NUMBER = re.compile(r"([-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?)( ?%)?")
QUOTED = re.compile(rf"{NUMBER.pattern}\**<!-- ([\w-]+) ([\w.-]+) -->")
TABLE = re.compile(r"^<!-- table ([\w-]+) ([\w.-]+): (.+) -->$")


@dataclass(frozen=True)
class Block:
    """A piece of code in a document."""

    document: Path
    line: int  # of its first line, from 1
    language: str
    info: str
    code: str
    executed: bool
    needs: str = ""

    def __str__(self) -> str:
        return f"{self.document.name}:{self.line}"


def blocks_of(document: Path, *languages: str) -> list[Block]:
    found, before = [], ""
    lines = iter(enumerate(document.read_text(encoding="utf-8").splitlines(), start=1))
    for number, line in lines:
        if opening := FENCE.match(line) or HIDDEN.match(line):
            end = "-->" if HIDDEN.match(line) else "```"
            language, info = (opening[1], "") if end == "-->" else (opening[2], opening[3])
            body = ""
            for _, text in lines:
                if text.strip() == end:
                    break
                body += text + "\n"
            code = textwrap.dedent(body)
            needs = NEEDS.match(before)
            executed = UNEXECUTED.match(before) is None
            found.append(Block(document, number + 1, language, info, code, executed, needs[1] if needs else ""))
        before = line
    return [block for block in found if not languages or block.language in languages]


ALL = [block for document in DOCUMENTS for block in blocks_of(document)]
EXCERPTS = [block for block in ALL if block.language == "python" and block.info]
TOML = [block for block in ALL if block.language == "toml" and block.executed]


def diff_sides(diff: str) -> tuple[str, str]:
    """The code before and after."""
    lines = [(line[:1] or " ", line[1:]) for line in diff.splitlines()]
    return tuple("\n".join(text for sign, text in lines if sign in " " + side) for side in "-+")  # type: ignore[return-value]


# ------------------------------------------------------------------------------------------ code


TRAINING = [pytest.param(document, marks=pytest.mark.slow) for document in DOCUMENTS if document.name == "README.md"]
OTHERS = [document for document in DOCUMENTS if document.name != "README.md"]


@pytest.mark.parametrize("document", [*TRAINING, *OTHERS], ids=lambda document: document.name)
def test_the_code_runs(document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All blocks of a document, one after the other; of a change, the old side must be Python and the new side run."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks_of(document, "python", "diff"):
        if block.info or not block.executed or block.needs:
            continue
        run_block(block, names)


def run_block(block: Block, names: dict[str, Any]) -> None:
    code = block.code
    if block.language == "diff":
        old, code = diff_sides(code)
        ast.parse(old)
    exec(compile("\n" * (block.line - 1) + code, str(block.document), "exec"), names)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the other packages warn about what is theirs
@pytest.mark.parametrize("block", [block for block in ALL if block.needs], ids=str)
def test_code_for_another_package_runs(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block that needs a package of the dev extra, after the blocks above it that need none."""
    pytest.importorskip(block.needs)
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    names: dict[str, Any] = {"__name__": "__main__"}
    for earlier in blocks_of(block.document, "python"):
        if earlier.line >= block.line:
            break
        if not (earlier.info or earlier.needs) and earlier.executed:
            run_block(earlier, names)
    run_block(block, names)


@pytest.mark.parametrize("excerpt", EXCERPTS, ids=str)
def test_excerpts_are_the_source(excerpt: Block) -> None:
    """Line for line, but for indentation; a line of three dots stands for lines left out."""
    source = [line.strip() for line in (ROOT / excerpt.info).read_text(encoding="utf-8").splitlines()]
    parts = re.split(r"^ *\.\.\.\n", excerpt.code, flags=re.MULTILINE)
    place = 0
    for part in ([line.strip() for line in text.strip().splitlines()] for text in parts):
        found = [at for at in range(place, len(source)) if source[at : at + len(part)] == part]
        assert found, f"{excerpt}: not in {excerpt.info} (any more):\n" + "\n".join(part)
        place = found[0] + len(part)


# ------------------------------------------------------------------------------------------ commands and settings


def commands_of(block: Block) -> Iterator[list[str]]:
    """The words after ``bertram`` of each such command."""
    for line in with_variables(block.code.replace("\\\n", " ")):
        if block.language == "console" and not line.startswith("$ "):
            continue
        lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        for operator, words in itertools.groupby(lexer, key=lambda word: set(word) <= set("|&;")):
            if not operator:
                yield from _after_bertram(list(words))


def with_variables(text: str) -> Iterator[str]:
    """The lines of a shell script with the values of the variables that it sets itself."""
    variables: dict[str, str] = {}
    for line in text.splitlines():
        expanded = re.sub(r"\$(\w+)", lambda name: variables.get(name[1], name[0]), line)
        if assignment := re.fullmatch(r"(\w+)=\"?([^\"]*)\"?", expanded):
            variables[assignment[1]] = assignment[2]
        yield expanded


def _after_bertram(words: list[str]) -> Iterator[list[str]]:
    for place, word in enumerate(words):
        if set(word) <= set("<>"):
            words = words[:place]
            break
    while words and re.match(r"^\w+=", words[0]):
        words = words[1:]
    if words and Path(words[0]).name == "bertram":
        yield words[1:]
    for place in range(len(words) - 1):
        if words[place : place + 2] == ["-m", "bertram"]:
            yield words[place + 2 :]


COMMANDS = [(block, words) for block in ALL if block.language in SHELLS for words in commands_of(block)]


def check_command(words: list[str]) -> None:
    """Parse a command line as the program would; options that name a field of the configuration must exist."""
    if words in ([], ["--help"], ["--version"]) or words[1:] == ["--help"]:
        assert not words or words[0].startswith("--") or words[0] in app
        return
    _, bound, _ = app.parse_args([w for w in words if w != "--debug"], exit_on_error=False, print_error=False)
    field_words = bound.arguments.get("words", ())
    known = {name for name, *_ in options.fields()} | {"tasks.NAME.extra", "tasks.NAME.unlabelled"}  # lists of files
    for name, _ in pairs(field_words):
        general = re.sub(r"^tasks\.[^.]+", "tasks.NAME", name.replace("-", "_"))
        assert general in known, f"--{name}: there is no such field"
    base = bound.arguments.get("base", RECIPE_DEFAULTS)
    if field_words and base.config is None:
        base.settings(field_words)


@pytest.mark.parametrize(("block", "words"), COMMANDS, ids=lambda value: str(value) if isinstance(value, Block) else "")
def test_commands_exist(block: Block, words: list[str]) -> None:
    check_command(words)


@pytest.mark.parametrize(
    "wrong", [["trian"], ["train", "--smart.wieght", "1"], ["train", "--smart.weight", "much"], ["data", "chek", "D"]]
)
def test_wrong_commands_would_be_found(wrong: list[str]) -> None:
    with pytest.raises((Exception, AssertionError)):
        check_command(wrong)


def config_of(block: Block, data: str) -> Config:
    values = {**tomllib.loads(block.code), "data": data}
    return options.overlay(recipe(values.get("recipe", "cross")), values, {})


@pytest.mark.parametrize("block", TOML, ids=str)
def test_settings_are_accepted(block: Block) -> None:
    config_of(block, "sample")


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize("block", [b for b in TOML if b.document.name == "tasks.md"], ids=str)
def test_task_files_fit_the_real_data(block: Block, real_data: Path) -> None:
    config = config_of(block, str(real_data))
    assert check_files(config.tasks, config.data) == []


def test_every_field_of_a_task_is_listed_as_help_describes_it() -> None:
    text = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")
    listed = {row[0]: row[1:] for row in _rows(text.splitlines()) if row[0] and len(row) == 4}
    for option in options.fields(Task):
        if option.name != "name":  # the name of the table
            expected = [option.default, option.type.replace("|", ", "), option.description]
            assert listed.get(option.name) == expected, f"docs/tasks.md: {option.name}: {expected}"


# ------------------------------------------------------------------------------------------ figures


def measured(name: str, path: str) -> Any:
    value = json.loads((MEASUREMENTS / f"{name}.json").read_text(encoding="utf-8"))["results"]
    for key in path.split("."):
        value = value[int(key)] if isinstance(value, list) else value[key]
    return value


def agrees(text: str, value: float) -> bool:
    """Whether a number in a text is a value rounded to as many digits."""
    found = NUMBER.fullmatch(text.strip())
    assert found, f"not a number: {text!r}"
    digits = found[1].replace(",", "")
    mantissa, _, exponent = digits.partition("e")
    unit = 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
    return abs(value * (100 if found[2] else 1) - float(digits)) <= 0.5 * unit * (1 + 1e-6)


@pytest.mark.parametrize(
    ("text", "value", "right"),
    [("0.99", 0.9949, True), ("0.99", 0.9951, False), ("4.1 %", 0.0412, True), ("4.1 %", 0.0416, False),
     ("3.5e-9", 3.46e-9, True), ("3.5e-9", 3.4e-9, False), ("1,234", 1234.4, True), ("-0.50", -0.504, True)],
)  # fmt: skip
def test_numbers_agree_to_their_digits(text: str, value: float, right: bool) -> None:
    assert agrees(text, value) is right


def quotations() -> Iterator[tuple[str, str, Any]]:
    """Where a figure is quoted, its text and what was measured."""
    for document in DOCUMENTS:
        lines = document.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines, start=1):
            for found in QUOTED.finditer(line):
                yield f"{document.name}:{number} {found[4]}", found[1] + (found[2] or ""), measured(found[3], found[4])
            if head := TABLE.match(line):
                columns, rows = head[3].split(), measured(head[1], head[2])
                cells = list(_rows(lines[number + 2 : number + 3 + len(rows)]))
                assert len(cells) == len(rows), f"{document.name}:{number}: {len(rows)} rows were measured"
                for row, values in zip(cells, rows, strict=True):
                    for cell, column in zip(row, columns, strict=True):
                        yield f"{document.name}:{number} {column}", cell, values[column]


def _rows(lines: list[str]) -> Iterator[list[str]]:
    """The cells of the rows of a table, without emphasis."""
    for line in lines:
        if line.startswith("|"):
            yield [re.sub(r"<!--.*?-->|[*`]", "", cell).strip() for cell in line.strip("|").split("|")]


def test_figures_are_those_measured() -> None:
    wrong = []
    for place, text, value in quotations():
        right = text == value if isinstance(value, str) else agrees(text, value)
        wrong += [] if right else [f"{place}: {text} is written, {value} was measured"]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", sorted(MEASUREMENTS.glob("*.json")), ids=lambda path: path.stem)
def test_measurements_are_quoted_and_can_be_repeated(path: Path) -> None:
    record = json.loads(path.read_text(encoding="utf-8"))
    assert find_spec(module_of(record)) is not None
    everything = "".join(document.read_text(encoding="utf-8") for document in DOCUMENTS)
    assert re.search(rf"<!-- (table )?{path.stem}[ :]", everything), f"no document quotes {path.name}"


# ------------------------------------------------------------------------------------------ links


@pytest.mark.parametrize("document", [*DOCUMENTS, RESULTS], ids=lambda document: document.name)
def test_links_lead_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"^[a-z]+:", target):
            continue
        file, _, section = target.partition("#")
        path = (document.parent / file).resolve() if file else document
        assert path.exists(), f"{document.name}: {target}"
        if section:
            assert section in _sections(path), f"{document.name}: {target}"


def _sections(document: Path) -> set[str]:
    """The anchors that GitHub gives to headings."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
