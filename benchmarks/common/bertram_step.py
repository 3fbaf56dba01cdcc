"""BERTram's side of the comparison: the training step as a run takes it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from benchmarks.common.workload import Losses, with_tasks_of
from bertram.config import Config
from bertram.data.examples import Batch
from bertram.model.dropout import Dropout
from bertram.model.multitask import Multitask
from bertram.training import setup
from bertram.training.generators import make_generators
from bertram.training.objective import Objective
from bertram.training.process_state import keep_freed_memory
from bertram.training.run_data import RunData
from bertram.training.step import StepContext, step


def new_context(config: Config, network: Multitask, total_steps: int) -> tuple[StepContext, Dropout]:
    """Optimizer, objective and surgery around a network, with the generators of the run's seed; and its dropout."""
    generators = make_generators(config.seed, torch.device("cpu"))
    dropout = setup.training_dropout(config, network.encoder, generators.dropout)
    objective = Objective(network, config, dropout, generators.noise, total_steps)
    context, _ = setup.step_contexts(config, network, objective, generators.surgery)
    return context, dropout


class BertramStep:
    """A training run of BERTram without its loop.

    Args:
        config: configuration of the run.
        data: examples of the workload.
    """

    def __init__(self, config: Config, data: RunData) -> None:
        keep_freed_memory()
        data = with_tasks_of(config, data)
        self.config = config
        self.model, _ = setup.build_model(config, torch.device("cpu"))
        setup.fit_starts(self.model.network, data)
        steps = setup.make_sampler(config, data).total_steps
        self.context, self.dropout = new_context(config, self.model.network, steps)

    def step(self, batches: Sequence[Batch]) -> Losses:
        """One update; gives the loss of each task before it."""
        report = step(self.context, batches)
        self.context.objective.after_update()
        return {task: figures["loss"] for task, figures in report.losses.items()}

    @contextmanager
    def without_dropout(self) -> Iterator[None]:
        """Dropout switched off, so that losses can be compared."""
        rates = self.dropout.hidden_rate, self.dropout.attention_rate, self.dropout.head_rate
        self.dropout.hidden_rate = self.dropout.attention_rate = self.dropout.head_rate = 0.0
        yield
        self.dropout.hidden_rate, self.dropout.attention_rate, self.dropout.head_rate = rates
