"""The reference of the kinds of output lists every kind and every member of the contract."""

import inspect
import re
from pathlib import Path

from bertram.label_spaces import LabelSpace
from bertram.model.outputs import Output, output_of
from bertram.model.outputs.registry import OUTPUTS
from bertram.tasks import Task

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "outputs.md").read_text(encoding="utf-8")


def test_every_kind_has_a_row_with_its_class() -> None:
    rows = set(re.findall(r"^\| `([\w-]+)` \| `([\w-]+)` \| `(\w+)` \|", TEXT, flags=re.MULTILINE))
    cosine = {"files": {"texts": ["a", "b"]}, "encoding": "bi", "head": "cosine"}
    kinds = set()
    for kind, loss in OUTPUTS:
        head = cosine if loss.startswith("cosine") else {"files": {"texts": ["a"]}}
        labels = {"labels": ["x", "y", "z"]} if kind in ("class", "multi-label") else {}
        task = Task.model_validate({"name": "t", "kind": kind, "loss": loss, **head, **labels})
        kinds.add((kind, loss, type(output_of(task)).__name__))
    assert rows == kinds


def test_every_member_is_described() -> None:
    described = set(re.findall(r"`(\w+)(?:\([^`]*\))?`", TEXT))
    for contract in (Output, LabelSpace):
        members = {*vars(contract), *inspect.get_annotations(contract)}
        assert {name for name in members if not name.startswith("_")} <= described
