"""Python files as syntax trees, parsed once for all tests that read them."""

import ast
from functools import cache
from pathlib import Path


@cache
def nodes(path: Path) -> list[ast.AST]:
    """The nodes of a source file; the first is the module."""
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
