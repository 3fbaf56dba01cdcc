"""Contribution of each member to a soup or an ensemble: the score minus that of the same merge without the member."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bertram.comparison.models import compare_models
from bertram.comparison.outcomes import TaskPredictions
from bertram.evaluation.evaluate import Evaluation, joint_groups_of
from bertram.runs.record_parts import Contribution

MERGED = "merged"


def contributions(merged: Evaluation, without: Sequence[Evaluation]) -> list[dict[str, Contribution]]:
    """Leave-one-out contributions on dev: for each member, outcome -> contribution; undefined scores are left out.

    Args:
        merged: outputs of the soup or ensemble.
        without: outputs of the same without each member, in the order of the members.
    """
    evaluations = {MERGED: merged, **{str(number): evaluation for number, evaluation in enumerate(without)}}
    groups = joint_groups_of(merged.examples)
    rows = compare_models({name: _predictions(name, evaluations, groups[name]) for name in merged.examples})
    return [
        {
            row.task: Contribution(-row.difference, None if row.ci95 is None else (-row.ci95[1], -row.ci95[0]))
            for row in rows
            if row.run == str(number) and row.difference is not None
        }
        for number in range(len(without))
    ]


def _predictions(name: str, evaluations: Mapping[str, Evaluation], groups: NDArray[np.intp]) -> TaskPredictions:
    examples = evaluations[MERGED].examples[name]
    assert examples.labels is not None
    values = {run: evaluation.values(name) for run, evaluation in evaluations.items()}
    return TaskPredictions.from_rows(examples.task, examples.ids, examples.labels.numpy(), values, groups)
