"""An ablation at equal time: each configuration has as many steps as the plain one takes time for.

<folder>/step-costs.json      measured once, before the first run; the same ever after
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bertram import options
from bertram.comparison.arms import UNLIKE
from bertram.config import Config
from bertram.errors import ConfigError
from bertram.experiments.cost import order_of
from bertram.experiments.study_tables import FORM, read_json
from bertram.runs.files import write_json
from bertram.runs.typed_json import typed

STEP_COSTS = "step-costs.json"


@dataclass(frozen=True)
class StepCosts:
    """What a step of each configuration costs.

    Attributes:
        plain: name of the configuration that all are compared with.
        ratios: name of the configuration -> time of its step over that of the plain one.
        configurations: name of the configuration -> hash of it as it was measured; empty in older files.
        form: version of the file.
    """

    plain: str
    ratios: Mapping[str, float] = field(default_factory=dict)
    configurations: Mapping[str, str] = field(default_factory=dict)
    form: int = FORM


def plain(cells: Sequence[Sequence[bool]]) -> int:
    """Number of the configuration with the fewest factors on, the first of several."""
    return min(range(len(cells)), key=lambda number: sum(cells[number]))


def measured(configs: Sequence[Config], plain: Config) -> Iterator[tuple[str, float]]:
    """Name and cost of a step of each configuration, one after the other."""
    from bertram.training.step_cost import step_cost  # noqa: PLC0415 - rarely needed

    for config in configs:
        yield config.recipe, 1.0 if config.recipe == plain.recipe else round(step_cost(config, plain), 3)


def hashes(configs: Sequence[Config]) -> dict[str, str]:
    """Name of each configuration -> hash of all that decides its result, but for its seed and its data."""
    return {config.recipe: options.digest(config.model_copy(update=UNLIKE)) for config in configs}


def shortened(config: Config, costs: StepCosts, plain: Config) -> Config:
    """The configuration with the steps that take as long as those of the plain one.

    Args:
        config: a configuration of the study, with all its steps.
        costs: cost of a step of each configuration.
        plain: the configuration with the fewest factors on.

    Raises:
        ConfigError: the cost of a step is not known, or is that of another configuration.
    """
    if config.recipe not in costs.ratios:
        raise ConfigError([f"{STEP_COSTS}: has no cost of {config.recipe}; use another --out, or delete it"])
    own = hashes([config])[config.recipe]
    if costs.configurations.get(config.recipe, own) != own:
        raise ConfigError([f"{STEP_COSTS}: is of another recipe, encoder or budget; use another --out, or delete it"])
    ratio = costs.ratios[config.recipe]
    steps = max(1, round(order_of(plain).total_steps / config.sampling.epochs / ratio))
    if ratio == 1 and steps == order_of(config).steps_per_epoch:
        return config
    return options.change(config, sampling={"steps_per_epoch": steps, "epoch_of": None})


def read_step_costs(folder: Path) -> StepCosts | None:
    """The costs in a results folder; None where it is not a study at equal time.

    Raises:
        RunError: the file is damaged.
    """
    path = folder / STEP_COSTS
    return typed(read_json(path), StepCosts, path) if path.is_file() else None


def write_step_costs(folder: Path, costs: StepCosts) -> None:
    """Write the costs into a results folder."""
    write_json(folder / STEP_COSTS, asdict(costs))


def in_words(costs: StepCosts) -> str:
    """The costs, for a title."""
    others = ", ".join(f"{name} {ratio:.2f}" for name, ratio in costs.ratios.items() if name != costs.plain)
    return f"at equal time, a step over one of {costs.plain} taking {others}"
