"""The estimate of a run on the terminal."""

from rich.console import Group
from rich.table import Table
from rich.text import Text

from bertram import options
from bertram.config import Config
from bertram.training.estimate import Estimate

TEXT_COLUMNS = ("task", "loss", "head")
COLUMNS = ("task", "train examples", "seen in an epoch", "tokens in an epoch", "dev examples", "loss", "head")


def estimate_table(config: Config, estimate: Estimate) -> Group:
    """The resolved configuration, the examples of each task, and the estimate."""
    table = Table(title="What would be trained", title_justify="left")
    for heading in COLUMNS:
        table.add_column(heading, justify="left" if heading in TEXT_COLUMNS else "right")
    for name, task in config.tasks.items():
        numbers = estimate.tasks[name]
        table.add_row(
            name,
            f"{numbers.train_examples:,}",
            f"{numbers.epoch_examples:,.0f}",
            f"{numbers.epoch_tokens:,}",
            f"{numbers.dev_examples:,}",
            task.trained_by,
            task.head,
        )
    memory = "unknown on this system" if estimate.peak_memory_mib is None else f"about {estimate.peak_memory_mib:,} MiB"
    taught = f", {estimate.teacher_minutes:.1f} teachers' outputs" if estimate.teacher_minutes else ""
    text = Text(
        f"steps       {estimate.steps:,} ({estimate.steps_per_epoch:,} an epoch)\n"
        f"parameters  {estimate.parameters:,}, of which {estimate.trained_parameters:,} are trained\n"
        f"time        about {estimate.minutes:.1f} minutes: {estimate.training_minutes:.1f} training, "
        f"{estimate.evaluation_minutes:.1f} evaluation{taught}\n"
        f"memory      {memory}\n"
    )
    return Group(Text(options.to_toml(config)), table, text)
