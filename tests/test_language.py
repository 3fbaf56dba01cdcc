"""Plain words: names say what they hold, descriptions stand alone, and no paraphrase stands for a usual term.

The ceilings only ever go down.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.common.source import nodes

from bertram import options

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "bertram"
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

# Pronouns, and participles and adverbs that stand alone: a reader has to look up what such a name holds.
PRONOUNS = {
    *(
        "all_",
        "another",
        "anything",
        "asked",
        "begun",
        "both",
        "brought",
        "come",
        "drawn",
        "each",
        "either",
        "everybody",
    ),
    *("everything", "few", "found", "given", "gone", "held", "here", "hers", "his", "its", "kept", "known", "made"),
    *("many", "meant", "mine", "more", "most", "much", "named", "neither", "nobody", "nothing", "one", "ones", "other"),
    *("others", "ours", "said", "same", "seen", "several", "shown", "so", "some", "somebody", "something", "sought"),
    *("such", "taken", "that", "theirs", "them", "there", "these", "they", "this", "those", "thus", "told", "unknown"),
    *("wanted", "what", "which", "who", "whom", "whose", "yours"),
}

# A description in `Args:` or `Attributes:` must be a noun phrase that stands alone in a tooltip.
DEPENDENT = re.compile(
    r"(of|in|on|at|by|for|from|to|with|without|where|what|which|who|whom|whose|when|whether|how|why|as|if|after|before|"
    r"below|above|into|over|under|than|that|until|within|because|else|so|the same|it|they|its)\b",
    re.IGNORECASE,
)
# The first line of a docstring says what a thing is or does; a reader must not need the signature to complete it.
FRAGMENT = re.compile(r"(what|how|why|of|with|where|in|on|as|if|for|it|that|those|these|the same)\b", re.IGNORECASE)
ENTRY = re.compile(r"^    \*{0,2}\w[\w, ]*?(?: \([^)]*\))?: (.*)$")

# Paraphrases of usual terms, from texts that a user reads.
PARAPHRASES = (
    "cannot be told from",
    "could be told from",
    "are one name",
    "go on with it",
    "gone on with",
    "go on without",
    "there is no '",
    "known are",
    "everybody who",
    "of everything that is random",
    "one by one)",
    "leave one out",
    "says already",
    "whose name does not tell",
    "by the study's letter",
)

NAME_SHARE = 0.005  # ceiling for pronouns among the names that a room binds
DESCRIPTION_SHARE = 0.03  # ceiling for dependent descriptions of a room
FIRST_LINE_SHARE = 0.03  # ceiling for docstrings of a room that begin with a fragment


def bound_names(path: Path) -> Iterator[tuple[str, int]]:
    """Name and line of everything that a file binds: variables, attributes, parameters, functions and classes."""
    for node in nodes(path):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node.lineno


def descriptions(path: Path) -> Iterator[str]:
    """The entries of the sections Args and Attributes of all docstrings of a file."""
    for node in nodes(path):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
            continue
        inside = False
        for line in (ast.get_docstring(node) or "").splitlines():
            if line in ("Args:", "Attributes:"):
                inside = True
            elif line and not line.startswith(" "):
                inside = False
            elif inside and (entry := ENTRY.match(line)):
                yield entry[1]


def first_lines(path: Path) -> Iterator[str]:
    """The first lines of all docstrings of a file."""
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
            yield from (ast.get_docstring(node) or "").splitlines()[:1]


def room(path: Path, folder: Path) -> str:
    return path.relative_to(folder).parts[0].removesuffix(".py")


def pronoun_names(folder: Path) -> tuple[dict[str, list[str]], dict[str, int]]:
    """For each room, places of names that are pronouns, and the number of all names."""
    places: dict[str, list[str]] = defaultdict(list)
    totals: dict[str, int] = defaultdict(int)
    for path in sorted(folder.rglob("*.py")):
        for name, line in bound_names(path):
            totals[room(path, folder)] += 1
            if name.strip("_").lower() in PRONOUNS:
                places[room(path, folder)].append(f"{path.relative_to(folder)}:{line} {name}")
    return places, totals


def matching_texts(
    folder: Path, texts: Callable[[Path], Iterator[str]], pattern: re.Pattern[str]
) -> tuple[dict[str, list[str]], dict[str, int]]:
    """For each room, texts that begin with a pattern, and the number of all texts."""
    matching: dict[str, list[str]] = defaultdict(list)
    totals: dict[str, int] = defaultdict(int)
    for path in sorted(folder.rglob("*.py")):
        for text in texts(path):
            totals[room(path, folder)] += 1
            if pattern.match(text):
                matching[room(path, folder)].append(f"{path.relative_to(folder)}: {text}")
    return matching, totals


def dependent_descriptions(folder: Path) -> tuple[dict[str, list[str]], dict[str, int]]:
    """For each room, descriptions that begin with a preposition or question word, and the number of all."""
    return matching_texts(folder, descriptions, DEPENDENT)


def excess(places: Mapping[str, list[str]], totals: Mapping[str, int], share: float) -> list[str]:
    """The places in rooms that are above their ceiling: the share of the room."""
    return [place for name, texts in places.items() if len(texts) > share * totals[name] for place in texts]


def test_names_are_no_pronouns() -> None:
    assert not excess(*pronoun_names(SOURCE), NAME_SHARE)


def test_descriptions_stand_alone() -> None:
    assert not excess(*dependent_descriptions(SOURCE), DESCRIPTION_SHARE)


def test_first_lines_of_docstrings_stand_alone() -> None:
    assert not excess(*matching_texts(SOURCE, first_lines, FRAGMENT), FIRST_LINE_SHARE)


def test_descriptions_of_options_stand_alone() -> None:
    dependent = [option.name for option in options.fields() if DEPENDENT.match(option.description)]
    assert not dependent


def texts_of(path: Path) -> Iterator[str]:
    """The texts of a source file, or the whole document, in lower case."""
    if path.suffix != ".py":
        yield path.read_text(encoding="utf-8").lower()
        return
    for node in nodes(path):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value.lower()


def test_usual_terms_are_used() -> None:
    places = [
        f"{path.relative_to(ROOT)}: {phrase}"
        for path in [*sorted(SOURCE.rglob("*.py")), *DOCUMENTS]
        for text in texts_of(path)
        for phrase in PARAPHRASES
        if phrase in text
    ]
    assert not places
