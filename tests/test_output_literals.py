"""A task's kind, loss and head are compared with literals, and look up tables, only where kinds of output are made."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from tests.common.source import nodes

from bertram.task_kinds import KINDS, LOSSES, Head

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "bertram"
NAMES = {"kind", "loss", "head", "trained_by"}
VALUES = {*KINDS, *LOSSES, *get_args(Head)}
HOME = ("tasks.py", "task_kinds.py", "label_spaces/", "model/outputs/")
TABLES_OF_HEADS = ("model/heads.py",)  # where a head is made from its name


def literal_uses(tree: ast.AST) -> Iterator[ast.stmt | ast.expr]:
    """Comparisons of a kind, loss or head with a literal, and tables that one of them is looked up in."""
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.stmt | ast.expr))
    return (node for node in nodes if is_comparison(node) or is_lookup(node))


def is_comparison(node: ast.AST) -> bool:
    """Whether a kind, loss or head is compared with one of the names that it can have."""
    if isinstance(node, ast.Match):
        return names_output(node.subject)
    if not isinstance(node, ast.Compare):
        return False
    sides = [node.left, *node.comparators]
    return any(map(names_output, sides)) and any(map(holds_value, sides))


def is_lookup(node: ast.AST) -> bool:
    """Whether a table is looked up by a kind, loss or head: ``table[task.kind]`` or ``table.get(task.kind)``."""
    if isinstance(node, ast.Subscript):
        return attribute_of_output(node.slice)
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    return node.func.attr == "get" and any(map(attribute_of_output, node.args[:1]))


def names_output(node: ast.AST) -> bool:
    """Whether an expression is a kind, a loss or a head, as a variable or as an attribute."""
    return (isinstance(node, ast.Name) and node.id in NAMES) or attribute_of_output(node)


def attribute_of_output(node: ast.AST) -> bool:
    """Whether an expression is ``x.kind`` and the like."""
    if isinstance(node, ast.Tuple):
        return any(map(attribute_of_output, node.elts))
    return isinstance(node, ast.Attribute) and node.attr in NAMES


def holds_value(node: ast.AST) -> bool:
    """Whether an expression holds the name of a kind, loss or head."""
    return any(isinstance(part, ast.Constant) and part.value in VALUES for part in ast.walk(node))


def test_only_kinds_of_output_compare_with_literals() -> None:
    uses = [
        f"{file}:{node.lineno}: {ast.unparse(node)}"
        for path in sorted(SOURCE.rglob("*.py"))
        if not (file := path.relative_to(SOURCE).as_posix()).startswith((*HOME, *TABLES_OF_HEADS))
        for node in literal_uses(nodes(path)[0])
    ]
    assert not uses, f"{len(uses)}: ask the task's output or label space\n" + "\n".join(uses)


@pytest.mark.parametrize(
    "code",
    [
        'task.kind == "score"',
        'task.loss in ("mse", "coral")',
        '"coral" != task.trained_by',
        'kind == "binary"',
        "WIDTHS[task.kind]",
        "OUTPUTS[task.kind, task.trained_by]",
        "WIDTHS.get(task.head)",
        'match task.kind:\n    case "score":\n        pass',
    ],
)
def test_every_form_of_a_literal_use_is_seen(code: str) -> None:
    assert list(literal_uses(ast.parse(code)))


@pytest.mark.parametrize(
    "code", ["first.kind == second.kind", 'design.kind == "full"', 'f"{task.kind}"', "heads[task.name]"]
)
def test_other_uses_are_allowed(code: str) -> None:
    assert not list(literal_uses(ast.parse(code)))
