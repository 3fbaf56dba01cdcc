"""The table of an ablation: what ablation.json holds, as typed values."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bertram.comparison.components import Components
from bertram.experiments.design import Kind
from bertram.experiments.effects import Measured
from bertram.experiments.forecast import Forecast
from bertram.experiments.looks import Look, Plan, without_absent_looks
from bertram.experiments.study_tables import FORM, read_json
from bertram.runs.typed_json import JsonObject, typed

TABLE = "ablation.json"


@dataclass(frozen=True)
class FactorText:
    """Name of a factor, and what it changes, in words."""

    name: str
    text: str


@dataclass(frozen=True)
class Cell:
    """A configuration of the design.

    Attributes:
        levels: factor -> True if it is on.
        runs: seed -> name of the run directory.
        scores: outcome -> seed -> score.
    """

    levels: Mapping[str, bool]
    runs: Mapping[int, str]
    scores: Mapping[str, Mapping[int, float]]


@dataclass(frozen=True, kw_only=True)
class DesignTable:
    """The design of an ablation and its runs.

    Attributes:
        kind: kind of design.
        resolution: resolution of a fraction; None for other designs.
        generators: generators of a fraction, in words.
        notes: sentences that a reader must know.
        factors: factors in the order of the design.
        cells: configurations in the order of the design.
    """

    kind: Kind
    resolution: int | None = None
    generators: Sequence[str] = ()
    notes: Sequence[str]
    factors: Sequence[FactorText]
    cells: Sequence[Cell]


@dataclass(frozen=True, kw_only=True)
class AblationTable:
    """The effects of an ablation: the numbers of a forest plot.

    Attributes:
        form: version of the file.
        kind: kind of study.
        title: title with recipe, design and budget.
        recipe: recipe that the factors change.
        seeds: random seeds of each configuration.
        primary: primary outcome; None if it was not chosen and there are no runs.
        smallest_effect: smallest effect of interest.
        design: the design and its runs.
        power: forecast from before the start; None without one.
        noise: outcome -> parts of its noise; None where they cannot be estimated.
        effects: effects on all outcomes.
        plan: plan of the looks; None for a study with a fixed number of seeds.
        looks: looks of a study that runs until it is decided.
    """

    form: int = FORM
    kind: str = "ablation"
    title: str
    recipe: str = ""
    seeds: Sequence[int] = ()
    primary: str | None
    smallest_effect: float
    design: DesignTable
    power: Forecast | None
    noise: Mapping[str, Components | None] = field(default_factory=dict)
    effects: Sequence[Measured]
    plan: Plan | None = None
    looks: Sequence[Look] = ()

    @property
    def json_values(self) -> JsonObject:
        """The JSON object in ablation.json."""
        return without_absent_looks(asdict(self))


def read_ablation_table(path: Path) -> AblationTable:
    """The table in an ablation.json.

    Raises:
        RunError: missing, damaged, or of a form that this BERTram does not know.
    """
    return typed(read_json(path), AblationTable, path)
