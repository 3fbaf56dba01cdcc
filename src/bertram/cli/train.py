"""``bertram train``."""

import os
from collections.abc import Sequence
from pathlib import Path

from cyclopts import App

from bertram import options, recipes
from bertram.cli.arguments import EstimateOnly, ResumeRun
from bertram.cli.layout import Words, columns, filled
from bertram.cli.settings import RECIPE_DEFAULTS, Configuration, ConfigurationOptions, resolved, with_labels_of_data
from bertram.config import Config
from bertram.errors import BertramError, RunError, WeightsError
from bertram.options.command_line import pairs
from bertram.options.help import option_help
from bertram.runs.directory import read_config

EXAMPLES = """Examples:

  bertram train                          the embedded sample
  bertram train --data DIR --out RUN     the course's files
  bertram train --config mine.toml       tasks of your own
  bertram train --resume --out RUN       continue an interrupted run
"""
RECIPES = f"""Recipes: {", ".join(recipes.RECIPES)}, and the experiments of the study.
`bertram recipes` describes them, `bertram recipes NAME` shows one in full.
"""
HELP_WORDS = ("--help", "-h")
RELATIVE_PATHS = (
    "The relative paths of a run (encoder, data, distill.teachers, distill.outputs) are looked up in the working "
    "directory; resume the run in the directory where it was started."
)

app = App(name="train", help_epilogue=EXAMPLES, help_format="plaintext")


def prepare_help(words: Sequence[str]) -> None:
    """Extend the help by all fields of the configuration, with their values in the recipe that would run.

    Args:
        words: the words after ``bertram train``; recipe, data, encoder, seed and file given there are taken into
            account.

    Raises:
        ConfigError: the recipe or the file given there is faulty.
    """
    values = dict(pairs([word for word in words if word not in HELP_WORDS]))
    file = Path(values["config"]) if "config" in values else None
    top = ((name, values.get(name)) for name in ("data", "encoder", "seed"))
    config = resolved(values.get("recipe"), file, (), top)
    app.help_epilogue = "\n".join([EXAMPLES, filled(RECIPES), "", option_help(config, columns())])


@app.default
def train(
    *words: Words,
    base: Configuration = RECIPE_DEFAULTS,
    out: Path | None = None,
    dev_share: float | None = None,
    resume: ResumeRun = False,
    dry_run: EstimateOnly = False,
) -> None:
    """Train one model on several tasks.

    Every field of the configuration is an option by its dotted name; they are listed below.

    Parameters
    ----------
    out
        Run directory to create. Default: runs/RECIPE-seedN-TIME.
    dev_share
        Share of the training rows that is held out as dev rows where a task names no dev file. Default: 0.2.
    """
    settings = chosen_settings(words, base, out, dev_share, resume=resume)
    train_or_estimate(settings, out, resume=resume, dry_run=dry_run)


def chosen_settings(
    words: Sequence[str], base: ConfigurationOptions, out: Path | None, dev_share: float | None = None, *, resume: bool
) -> Config:
    """The configuration that a command line asks for, or that of the run to continue.

    Args:
        words: ``--dotted.name value`` for further fields of the configuration.
        base: recipe, file and other options.
        out: run directory.
        dev_share: share of the training rows that is held out; None if not given.
        resume: continue the run in `out`.

    Raises:
        ConfigError: all faults of the options.
        RunError: there is no run to continue, or it has other options.
    """
    has_options = not (base.is_empty and not words and dev_share is None)
    if resume and out is None:
        raise RunError("--resume needs --out with the directory of the run to continue")
    started = resume and out is not None and (out / "config.toml").is_file()
    if resume and out is not None and not started and not has_options and not (out / "record.json").is_file():
        raise RunError(f"{out}: there is no run to continue here; without --resume a new one is trained")
    if started and out is not None and not has_options:
        settings = read_config(out)
    else:
        split = None if dev_share is None else {"dev_share": dev_share}
        settings = with_labels_of_data(base.settings(words, {"split": split}))
    if started and out is not None and options.digest(read_config(out)) != options.digest(settings):
        raise RunError(f"{out}: this run has other options (see its config.toml); resume it with --out alone")
    return settings


def train_or_estimate(settings: Config, out: Path | None, *, resume: bool, dry_run: bool) -> None:
    """Train and show the scores, or with `dry_run` show what it would take.

    Raises:
        BertramError: it cannot be trained; with a note if a relative path of a run to continue does not exist.
    """
    started = resume and out is not None and (out / "config.toml").is_file()
    try:
        if dry_run:
            show_estimate(settings)
        else:
            train_and_show(settings, out, resume=resume)
    except BertramError as error:
        if started and _lacks_relative_path(settings, error):
            error.add_note(RELATIVE_PATHS)
        raise


def _lacks_relative_path(settings: Config, error: BertramError) -> bool:
    """Whether a relative path of a configuration does not exist in the working directory.

    An encoder that is not there may be the Hub's; it counts if `error` is about weights.
    """
    from bertram.model.pretrained import INSTALLED  # noqa: PLC0415

    paths = [*settings.distill.teachers]
    if settings.data not in ("hub", "sample", "memory"):
        paths.append(settings.data)
    if settings.encoder not in INSTALLED and isinstance(error, WeightsError):
        paths.append(settings.encoder)
    return any(not path.is_absolute() and not path.exists() for path in (Path(path).expanduser() for path in paths))


def train_and_show(settings: Config, out: Path | None, *, resume: bool) -> None:
    """Train, and show the scores."""
    from bertram.cli.progress import training_display  # noqa: PLC0415
    from bertram.cli.show import run_scores  # noqa: PLC0415  (torch loads only now)
    from bertram.cli.terminal import console  # noqa: PLC0415  (torch loads only now)
    from bertram.training import processes  # noqa: PLC0415
    from bertram.training.train import train as train_model  # noqa: PLC0415

    if resume and out is not None and (out / "record.json").is_file():
        console().print(f"{out}: this run is already finished")
    run = train_model(settings, out, resume=resume, display=training_display())
    if os.environ.get("RANK", "0") == "0":
        run_scores(run)
        console().print(f"run: {run.path}")
    processes.finish()


def show_estimate(settings: Config) -> None:
    """Show the tasks that would be trained, with an estimate of time and memory."""
    from bertram.cli.show_estimate import estimate_table  # noqa: PLC0415
    from bertram.cli.terminal import console  # noqa: PLC0415
    from bertram.training.estimate import estimate  # noqa: PLC0415

    console().print(estimate_table(settings, estimate(settings)))
