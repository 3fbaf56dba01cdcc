"""Table 1 as typed values: what table.json holds."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from bertram.comparison.techniques import TechniqueDifference
from bertram.evaluation.intervals import Interval
from bertram.experiments.looks import Look, Plan, without_absent_looks
from bertram.experiments.study_tables import FORM, read_json
from bertram.minbert.published import Group, Published
from bertram.runs.typed_json import JsonObject, typed

TABLE = "table.json"
Covers = Literal["examples and seeds", "examples"]


@dataclass(frozen=True)
class Summary:
    """The scores of an experiment's runs on one outcome.

    Attributes:
        mean: mean over seeds.
        sd: standard deviation over seeds; None for one seed.
        seeds: number of seeds.
        n: number of examples; None for overall.
        ci95: 95 % interval of the mean.
        covers: other examples and seeds; or other examples alone, where nothing is trained or there are fewer than 3
            seeds.
    """

    mean: float
    sd: float | None
    seeds: int
    n: int | None
    ci95: Interval | None
    covers: Covers


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """An experiment in Table 1.

    Attributes:
        experiment: name of the experiment.
        label: short description.
        group: part of the study.
        seeds: random seeds of the runs.
        runs: names of the run directories, in the order of `seeds`.
        study: published scores; None where there are none.
        ours: outcome -> our scores; None where the experiment has none.
        differences: outcome -> this row minus the reference, paired by seed and example; None where it is not compared.
        compared_as: experiment whose runs these are, where several rows are one run; None where none is compared.
    """

    experiment: str
    label: str
    group: Group = "row"
    seeds: Sequence[int]
    runs: Sequence[str]
    study: Published | None
    ours: Mapping[str, Summary | None]
    differences: Mapping[str, TechniqueDifference | None]
    compared_as: str | None = None


@dataclass(frozen=True, kw_only=True)
class Table1:
    """The study's figures beside ours.

    Attributes:
        form: version of the file.
        kind: kind of study.
        title: title with encoder and budget.
        notes: notes below the table.
        reference: experiment that differences are taken from.
        smallest_effect: smallest effect of interest.
        rows: rows in the order of the table.
        plan: plan of the looks; None for a study with a fixed number of seeds.
        looks: looks of a study that runs until it is decided.
    """

    form: int = FORM
    kind: str = "reproduction"
    title: str
    notes: Sequence[str]
    reference: str
    smallest_effect: float
    rows: Sequence[TableRow]
    plan: Plan | None = None
    looks: Sequence[Look] = ()

    @property
    def json_values(self) -> JsonObject:
        """The JSON object in table.json."""
        return without_absent_looks(asdict(self))


def read_table_1(path: Path) -> Table1:
    """The table in a table.json.

    Raises:
        RunError: missing, damaged, or of a form that this BERTram does not know.
    """
    return typed(read_json(path), Table1, path)
