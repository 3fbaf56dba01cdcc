"""The composition root: everything that a training works on, built from a configuration."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from bertram import surgery
from bertram.config import Config
from bertram.data.sources import DataSource
from bertram.errors import ConfigError
from bertram.evaluation.evaluate import sample
from bertram.model.dropout import Dropout
from bertram.model.encoders import Encoder
from bertram.model.linear import Precision, choose_precision
from bertram.model.multitask import Multitask
from bertram.model.pretrained import INSTALLED, find, read_with_tokenizer
from bertram.optimizer import AdamW
from bertram.prediction.model import Model
from bertram.runs.hashes import hashes_in
from bertram.training import processes
from bertram.training.average import Average
from bertram.training.diagnostics import Idle
from bertram.training.generators import make_generators, seeded_generator
from bertram.training.objective import Objective
from bertram.training.parameters import depths, head_parameters, shared_parameters
from bertram.training.run_data import RunData, pools, read_data
from bertram.training.sampler import Sampler
from bertram.training.state import Training
from bertram.training.step import StepContext
from bertram.training.teachers import load_teachers

START_PAIRS = 512  # training pairs that decide where a similarity's boundary starts


def begin(
    config: Config, device: torch.device, source: DataSource | None = None, precision: Precision | None = None
) -> Training:
    """A training before its first step.

    Args:
        config: configuration of the run.
        device: device that trains.
        source: tables in memory, or dev rows that are held out already; default: the data of the configuration.
        precision: precision of the matrix multiplications; default: as the configuration says.

    Raises:
        ConfigError: options, data or weights that cannot be used, all faults of a kind together.
    """
    check_surgery(config)
    model, precision = build_model(config, device, precision)
    network = model.network
    teachers = load_teachers(config, precision, device)
    data = read_data(config, model.tokenizer, model.max_tokens, source)
    teachers.require_unseen_dev(data)
    fit_starts(network, data)
    generators = make_generators(config.seed, device)
    sampler = make_sampler(config, data)
    steps = f"{sampler.total_steps:,} steps"
    data.cautions.extend(
        f"{name}: gets no example in {steps}, so its head learns nothing" for name in sampler.order.unseen()
    )
    dropout = training_dropout(config, network.encoder, generators.dropout)
    objective = Objective(network, config, dropout, generators.noise, sampler.total_steps)
    context, epoch_context = step_contexts(config, network, objective, generators.surgery)
    return Training(
        config=config,
        precision=precision,
        model=model,
        data=data,
        teachers=teachers,
        generators=generators,
        encoder_files=encoder_files(config.encoder),
        sampler=sampler,
        context=context,
        epoch_context=epoch_context,
        average=Average(network, config.average, sampler.total_steps),
        idle=Idle(config),
    )


def encoder_files(source: str) -> dict[str, str]:
    """SHA-256 of the files of an encoder directory; empty for encoders that are identified by their name."""
    directory = Path(source).expanduser()
    return hashes_in(directory) if source not in INSTALLED and directory.is_dir() else {}


def check_surgery(config: Config) -> None:
    """Raise ConfigError for a surgery that is not known, cannot work with these tasks, or needs a package."""
    count = sum(task.trained for task in config.tasks.values())
    try:
        weighting(config, torch.Generator())(torch.eye(count, dtype=torch.float64))
    except ValueError as error:
        raise ConfigError([f"surgery.method: {error}"]) from None


def build_model(config: Config, device: torch.device, precision: Precision | None = None) -> tuple[Model, Precision]:
    """A pretrained encoder with new heads and its tokenizer, and the precision of its matrix multiplications.

    Args:
        config: configuration of the run.
        device: device of the model.
        precision: precision of the matrix multiplications; default: as the configuration says.
    """
    encoder, tokenizer = read_with_tokenizer(find(config.encoder))
    positions = encoder.config.max_tokens
    if config.model.max_length and config.model.max_length > positions:
        raise ConfigError([f"model.max_length: the encoder has {positions} positions"])
    if config.model.pooling == "pooler" and encoder.pooler is None:
        raise ConfigError(["model.pooling: this encoder has no pooler; use cls or mean"])
    network = Multitask(encoder, config.tasks, config.model.pooling)
    for name, head in network.task_heads():
        head.initialize(seeded_generator(config.seed, f"head {name}"))
    chosen = processes.from_first(precision or choose_precision(config.precision, device))
    encoder.set_precision(chosen)
    if config.model.freeze_encoder:
        encoder.requires_grad_(False)
    if config.optimizer.embedding_update == "frozen":
        encoder.word_embeddings.requires_grad_(False)
    network.to(device)
    model = Model(network, tokenizer, config.model.max_length or positions, both_orders=config.model.both_orders)
    return model, chosen


def fit_starts(network: Multitask, data: RunData) -> None:
    """Put thresholds and boundaries where training starts well, and balanced weights where the labels say."""
    for name, examples in data.train.items():
        labels = data.own_labels(name)
        assert labels is not None
        task = network.tasks[name]
        if task.class_weights == "balanced":
            weights = task.label_space.balanced_weights(labels.tolist())
            network.set_task(task.model_copy(update={"class_weights": weights}))
        chosen = sample(examples, START_PAIRS, seed=0)
        parts = [chosen.batch(range(len(chosen))[begin : begin + 64]) for begin in range(0, len(chosen), 64)]
        network.head(name).fit_start(labels, network.similarities(parts))


def make_sampler(config: Config, data: RunData) -> Sampler:
    """The batches of the run, in order."""
    return Sampler(pools(config, data), config.sampling, config.seed)


def training_dropout(config: Config, encoder: Encoder, generator: torch.Generator) -> Dropout:
    """The dropout of training: inside the encoder as it was pretrained, unless the configuration says otherwise."""
    inside = config.model.encoder_dropout
    return Dropout(
        generator,
        hidden_rate=encoder.config.hidden_dropout if inside is None else inside,
        attention_rate=encoder.config.attention_dropout if inside is None else inside,
        head_rate=config.model.head_dropout,
    )


def step_contexts(
    config: Config, network: Multitask, objective: Objective, generator: torch.Generator
) -> tuple[StepContext, StepContext | None]:
    """The context of each step, and that of the update by surgery after each epoch, if there is one."""
    plain = StepContext(
        network,
        objective,
        make_optimizer(config, network, objective),
        weighting=None,
        parts=config.sampling.gradient_accumulation_steps,
        clip_norm=config.optimizer.max_grad_norm,
        word_rows=config.optimizer.embedding_update == "rows",
        task_by_task=config.surgery.gradients == "task-by-task",
    )
    if not config.surgery.on:
        return plain, None
    if config.surgery.frequency == "step":
        return with_surgery(plain, config, generator), None
    own_optimizer = replace(plain, optimizer=make_optimizer(config, network, objective))
    return plain, with_surgery(own_optimizer, config, generator)


def with_surgery(context: StepContext, config: Config, generator: torch.Generator) -> StepContext:
    """The same context with the surgery that the configuration names."""
    if config.surgery.granularity == "encoder":
        return replace(context, weighting=weighting(config, generator))
    return replace(context, weighting=[weighting(config, generator) for _ in context.layers])


def weighting(config: Config, generator: torch.Generator) -> surgery.Weighting:
    """The surgery rule that the configuration names."""
    trained = [name for name, task in config.tasks.items() if task.trained]
    main = trained.index(config.surgery.main_task) if config.surgery.main_task in trained else None
    return surgery.weighting(config.surgery.method, generator=generator, main=main)


def make_optimizer(config: Config, network: Multitask, objective: Objective) -> AdamW:
    """AdamW with a group for each rate and decay; LayerNorm, biases and scalars do not decay."""
    o = config.optimizer
    depth, top = depths(network.encoder), len(network.encoder.layers)
    rates = {name: o.lr * o.layerwise_lr_decay ** (top - min(depth[name], top)) for name in depth}
    parameters = shared_parameters(network)
    for task in network.tasks:
        parameters |= head_parameters(network, task) | objective.own_parameters(task)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in parameters.items():
        decay = o.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((rates.get(name, o.head_lr), decay), []).append(parameter)
    return AdamW(
        [{"params": group, "lr": rate, "rate": rate, "weight_decay": wd} for (rate, wd), group in groups.items()],
        betas=o.betas,
        eps=o.eps,
        correct_bias=o.correct_bias,
    )
