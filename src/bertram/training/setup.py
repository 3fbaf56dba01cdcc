"""From a configuration to everything a training works on: examples, network, optimizer, weightings."""

import zlib
from dataclasses import dataclass, replace

import torch
from torch import nn

from bertram import surgery
from bertram.config import Config
from bertram.data.examples import Examples, together, tokenized
from bertram.data.rows import Rows, check_files, limit_rows, read_extra, read_rows
from bertram.data.tokenizer import Tokenizer, load_tokenizer
from bertram.errors import ConfigError
from bertram.evaluation.evaluate import sample
from bertram.model.dropout import Dropout
from bertram.model.encoder import Encoder
from bertram.model.linear import Precision, choose_precision
from bertram.model.multitask import Multitask
from bertram.model.pretrained import find, read_encoder
from bertram.optimizer import AdamW
from bertram.prediction.model import Model
from bertram.tasks import Task
from bertram.training import processes
from bertram.training.objective import Objective
from bertram.training.orders import Pool
from bertram.training.sampler import Sampler
from bertram.training.step import Learner

TRAIN_SAMPLE = 1000  # training examples of each task that are scored, for the train-dev gap
START_PAIRS = 512  # training pairs that decide where a similarity's boundary starts


@dataclass(frozen=True)
class Data:
    """The examples of a run, by task.

    Attributes:
        train: own examples of the trained tasks, followed by further ones.
        own: how many of them are the task's own.
        dev: all dev examples.
        watched: those dev examples that are looked at while training.
        train_sample: a fixed sample of the own training examples.
        files: SHA-256, rows and rejected rows of each file, as the configuration names it.
    """

    train: dict[str, Examples]
    own: dict[str, int]
    dev: dict[str, Examples]
    watched: dict[str, Examples]
    train_sample: dict[str, Examples]
    files: dict[str, dict[str, object]]

    def own_labels(self, name: str) -> torch.Tensor | None:
        """The training labels of a task's own examples; None where it is not trained."""
        examples = self.train.get(name)
        return None if examples is None or examples.labels is None else examples.labels[: self.own[name]]


@dataclass(frozen=True)
class Generators:
    """The sources of randomness, each of its own, so that switching one technique on disturbs no other.

    The order of the data needs none: it is a function of seed and step (`bertram.training.sampler`).
    """

    dropout: torch.Generator
    noise: torch.Generator
    surgery: torch.Generator  # always on the CPU: it only orders tasks


def check_method(config: Config) -> None:
    """Raise ConfigError for a surgery that is not known, cannot work with these tasks, or needs a package."""
    count = sum(task.trained for task in config.tasks.values())
    try:
        weighting(config, torch.Generator())(torch.eye(count, dtype=torch.float64))
    except ValueError as error:
        raise ConfigError([f"surgery.method: {error}"]) from None


def read_data(config: Config, tokenizer: Tokenizer, max_tokens: int) -> Data:
    """Read and tokenize all files of a run.

    Raises:
        ConfigError: everything for which the data are refused, together.
    """
    problems = check_files(config.tasks, config.data, allow_rejects=config.allow_rejects)
    if problems:
        raise ConfigError(problems)
    files: dict[str, dict[str, object]] = {}

    def examples(task: Task, rows: Rows) -> Examples:
        files[rows.name] = rows.facts()
        return tokenized(task, rows, tokenizer, max_tokens)

    train, own = {}, {}
    for name, task in config.tasks.items():
        if task.trained:
            rows = read_rows(task, config.data, "train", allow_rejects=config.allow_rejects)
            limit, fraction = task.max_train_samples, config.sampling.fraction
            rows = limit_rows(rows, limit=limit, fraction=fraction, seed=config.seed, name=name)
            train[name], own[name] = examples(task, rows), len(rows)
            if task.extra is not None:
                extra = read_extra(task, config.data, allow_rejects=config.allow_rejects)
                train[name] = together(train[name], examples(task, extra))
    dev = {
        name: examples(task, read_rows(task, config.data, "dev", allow_rejects=config.allow_rejects))
        for name, task in config.tasks.items()
    }
    if config.evaluation.max_eval_samples is not None:
        dev = {name: sample(one, config.evaluation.max_eval_samples, seed=0) for name, one in dev.items()}
    limit = config.evaluation.max_interim_samples
    watched = dev if limit is None else {name: sample(one, limit, seed=0) for name, one in dev.items()}
    train_sample = {name: sample(one.at(range(own[name])), TRAIN_SAMPLE, seed=0) for name, one in train.items()}
    return Data(train, own, dev, watched, train_sample, files)


def pools(config: Config, data: Data) -> dict[str, Pool]:
    """How many examples of each trained task there are, and how many of them make a batch."""
    return {
        name: Pool(
            size=data.own[name],
            batch_size=config.tasks[name].batch_size or config.sampling.batch_size,
            extra=len(examples) - data.own[name],
            extra_share=_extra_share(config.tasks[name]),
        )
        for name, examples in data.train.items()
    }


def _extra_share(task: Task) -> float:
    return 0.0 if task.extra is None else task.extra.share


def build_model(config: Config, device: torch.device) -> tuple[Model, Precision]:
    """A pretrained encoder with new heads and its tokenizer."""
    directory = find(config.encoder)
    encoder, tokenizer = read_encoder(directory), load_tokenizer(directory)
    longest = encoder.config.max_tokens
    if config.model.max_length and config.model.max_length > longest:
        raise ConfigError([f"model.max_length: the encoder has {longest} positions"])
    if tokenizer.vocab_size > encoder.config.vocabulary:
        words = encoder.config.vocabulary
        raise ConfigError([f"encoder: its tokenizer knows {tokenizer.vocab_size} tokens, its table {words}"])
    network = Multitask(encoder, config.tasks, config.model.pooling)
    for name, head in network.task_heads():
        head.initialize(_generator(config.seed, f"head {name}"))
    precision = processes.from_writer(choose_precision(config.precision, device))
    encoder.set_precision(precision)
    if config.model.freeze_encoder:
        encoder.requires_grad_(False)
    encoder.words.requires_grad_(encoder.words.requires_grad and config.optimizer.embedding_update != "frozen")
    network.to(device)
    model = Model(network, tokenizer, config.model.max_length or longest, both_orders=config.model.both_orders)
    return model, precision


def fit_starts(network: Multitask, data: Data) -> None:
    """Put thresholds and boundaries where training starts well; see `TaskHead.fit_start`."""
    for name, examples in data.train.items():
        labels = data.own_labels(name)
        assert labels is not None
        chosen = sample(examples, START_PAIRS, seed=0)
        parts = [chosen.batch(range(len(chosen))[begin : begin + 64]) for begin in range(0, len(chosen), 64)]
        network.head(name).fit_start(labels, network.similarities(parts))


def generators(seed: int, device: torch.device) -> Generators:
    """The generators of a run, all from its seed, independent of each other; processes draw masks of their own."""
    mine = f" {processes.rank()}" if processes.rank() else ""
    return Generators(
        _generator(seed, f"dropout{mine}", device),
        _generator(seed, f"noise{mine}", device),
        _generator(seed, "surgery"),
    )


def _generator(seed: int, name: str, device: torch.device | None = None) -> torch.Generator:
    return torch.Generator(device or "cpu").manual_seed((seed << 32) + zlib.crc32(name.encode()))


def training_dropout(config: Config, encoder: Encoder, generator: torch.Generator) -> Dropout:
    """The dropout of training: inside the encoder as it was pretrained, unless the configuration says otherwise."""
    inside = config.model.encoder_dropout
    return Dropout(
        generator,
        hidden_rate=encoder.config.hidden_dropout if inside is None else inside,
        attention_rate=encoder.config.attention_dropout if inside is None else inside,
        head_rate=config.model.head_dropout,
    )


def learner(config: Config, network: Multitask, objective: Objective, generator: torch.Generator) -> Learner:
    """What each step works on."""
    each_step = config.surgery.method != "none" and config.surgery.frequency == "step"
    made = Learner(
        network,
        objective,
        optimizer(config, network, objective),
        weighting=None,
        layers=None,
        parts=config.sampling.gradient_accumulation_steps,
        clip_norm=config.optimizer.max_grad_norm,
        word_rows=config.optimizer.embedding_update == "rows",
    )
    return operating(made, config, generator) if each_step else made


def operating(base: Learner, config: Config, generator: torch.Generator, own_optimizer: AdamW | None = None) -> Learner:
    """The same learner with the configuration's surgery, and possibly an optimizer of its own."""
    layers = surgery_layers(base) if config.surgery.granularity == "layer" else None
    several: list[surgery.Weighting] | surgery.Weighting
    several = weighting(config, generator) if layers is None else [weighting(config, generator) for _ in layers]
    return replace(base, weighting=several, layers=layers, optimizer=own_optimizer or base.optimizer)


def weighting(config: Config, generator: torch.Generator) -> surgery.Weighting:
    """The rule that the configuration names."""
    trained = [name for name, task in config.tasks.items() if task.trained]
    main = trained.index(config.surgery.main_task) if config.surgery.main_task in trained else None
    return surgery.weighting(config.surgery.method, generator=generator, main=main)


def surgery_layers(learner: Learner) -> list[list[int]]:
    """Indices of the shared parameters of each layer, the embeddings first."""
    encoder = learner.network.encoder
    depth = _depths(encoder)
    layers: dict[int, list[int]] = {}
    for index, parameter in enumerate(learner.shared):
        layers.setdefault(depth[id(parameter)], []).append(index)
    return [layers[number] for number in sorted(layers)]


def optimizer(config: Config, network: Multitask, objective: Objective) -> AdamW:
    """AdamW with a group for each rate and decay: LayerNorm and biases do not decay, nor do scalars of heads."""
    o = config.optimizer
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    depth = _depths(network.encoder)
    top = len(network.encoder.layers)
    encoder = [(p, o.lr * o.layerwise_lr_decay ** (top - min(depth[id(p)], top))) for p in network.encoder.parameters()]
    heads = [(p, o.head_lr) for p in network.heads.parameters()]
    scalars = [(p, o.head_lr) for task in network.tasks for p in objective.own_parameters(task)]
    for parameter, rate in [*encoder, *heads, *scalars]:
        if parameter.requires_grad:
            decay = o.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
    return AdamW(
        [{"params": several, "lr": rate, "rate": rate, "weight_decay": wd} for (rate, wd), several in groups.items()],
        betas=o.betas,
        eps=o.eps,
        correct_bias=o.correct_bias,
    )


def _depths(encoder: Encoder) -> dict[int, int]:
    """How deep each parameter lies: 0 for embeddings, 1 for the first layer; the pooler lies above the last."""
    depth = {id(parameter): 0 for parameter in encoder.parameters()}
    for number, layer in enumerate(encoder.layers):
        depth |= dict.fromkeys(map(id, layer.parameters()), number + 1)
    return depth | dict.fromkeys(map(id, encoder.pooler.parameters()), len(encoder.layers) + 1)


def sampler(config: Config, data: Data) -> Sampler:
    """The batches of the run, in order."""
    return Sampler(pools(config, data), config.sampling, config.seed)
