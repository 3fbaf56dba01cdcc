"""``bertram crossval``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter
from cyclopts.validators import Number

from bertram.cli.arguments import Jobs, KeepModels
from bertram.cli.layout import Words
from bertram.cli.settings import RECIPE_DEFAULTS, Configuration, with_labels_of_data

if TYPE_CHECKING:
    from rich.table import Table

    from bertram.experiments.crossval import CrossValidation

EXAMPLES = """Examples:

  bertram crossval --config mine.toml --out runs/folds
  bertram crossval --config mine.toml --folds 10 --out runs/ten-folds
"""

app = App(name="crossval", help_epilogue=EXAMPLES, help_format="plaintext")


@app.default
def crossval(
    *words: Words,
    folds: Annotated[int, Parameter(validator=Number(gte=2))] = 5,
    base: Configuration = RECIPE_DEFAULTS,
    jobs: Jobs = 1,
    out: Path = Path("runs/crossval"),
    keep_models: KeepModels = False,
) -> None:
    """Train once for each fold of the training rows, and score every row by a model that never saw it.

    Folds are stratified by label; rows that share a text or a group are in one fold. Dev files are not used. Finished
    folds are skipped and interrupted ones continue. --seed is that of the trainings, --split.seed that of the folds.
    Every field of the configuration is an option, as of train.

    Parameters
    ----------
    folds
        Number of folds.
    out
        Results folder: a run for each fold, crossval.json, and the out-of-fold predictions.
    """
    from bertram.cli.board import Board  # noqa: PLC0415
    from bertram.cli.terminal import console  # noqa: PLC0415
    from bertram.experiments.crossval import PREDICTIONS, cross_validate  # noqa: PLC0415

    settings = with_labels_of_data(base.settings(words))
    result = cross_validate(settings, out, folds=folds, jobs=jobs, keep_models=keep_models, display=Board())
    console().print(_table(result))
    console().print(f"scores and out-of-fold predictions: {out}/crossval.json, {out}/{PREDICTIONS}/")


def _table(result: "CrossValidation") -> "Table":
    from rich.table import Table  # noqa: PLC0415

    table = Table(
        *("task", "mean", "95 % interval", "spread over folds", "folds"),
        title=f"Main scores of {result.folds} folds",
        caption="interval: of the mean, corrected because the folds' training rows overlap (Nadeau and Bengio, 2003)",
    )
    for name, scores in result.scores.items():
        if scores.mean is None or scores.sd is None or scores.ci95 is None:
            table.add_row(name, "undefined in a fold", "", "", "")
            continue
        low, high = scores.ci95
        values = " ".join(f"{value:.3f}" for value in scores.folds if value is not None)
        table.add_row(name, f"{scores.mean:.4f}", f"[{low:.4f}, {high:.4f}]", f"{scores.sd:.4f}", values)
    return table
