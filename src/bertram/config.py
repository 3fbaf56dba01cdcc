"""The typed configuration of a run: one value that is command line, TOML file and record alike.

`bertram.options` makes it from files and the command line.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from bertram.surgery.names import why_not
from bertram.tasks import Strict, Task

OrderName = Literal[
    "sequential",
    "rotating",
    "worst-last",
    "joint",
    "round-robin",
    "proportional",
    "square-root",
    "annealed",
    "temperature",
]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
ALL = "all"


@dataclass(frozen=True)
class OrderOptions:
    """The options that an order of the tasks can be combined with; `bertram.training.orders` has its steps.

    Attributes:
        step_surgery: surgery at each step, which needs a batch of every task in it.
        epoch_of: an epoch that is a whole pass over one task.
        sizes: an exponent and a cap of the sizes by which tasks are drawn.
    """

    step_surgery: bool = False
    epoch_of: bool = False
    sizes: bool = False


ORDER_OPTIONS: dict[OrderName, OrderOptions] = {
    "sequential": OrderOptions(),
    "rotating": OrderOptions(),
    "worst-last": OrderOptions(),
    "joint": OrderOptions(step_surgery=True, epoch_of=True),
    "round-robin": OrderOptions(epoch_of=True),
    "proportional": OrderOptions(),
    "square-root": OrderOptions(),
    "annealed": OrderOptions(),
    "temperature": OrderOptions(sizes=True),
}


class ModelConfig(Strict):
    """What is put on top of the encoder."""

    table: ClassVar[str] = "model"
    pooling: Literal["cls", "mean", "pooler"] = Field("cls", description="one vector a text; mean over real tokens")
    head_dropout: Share = Field(0.3, description="before the heads")
    encoder_dropout: Share | None = Field(None, description="inside the encoder; default: as it was pretrained")
    freeze_encoder: bool = Field(False, description="train the heads alone")
    both_orders: bool = Field(
        False, description="read cross-encoded pairs in both orders: train on either, predict the mean of both"
    )
    max_length: Annotated[int, Field(ge=8)] | None = Field(
        None, description="longer inputs are cut, and counted; default: as many as the encoder has positions"
    )


class OptimizerConfig(Strict):
    """AdamW and its schedule."""

    table: ClassVar[str] = "optimizer"
    lr: Positive = Field(2e-5, description="learning rate of the encoder")
    head_lr: Positive = Field(1e-3, description="learning rate of heads, scales, offsets and log-variances")
    betas: tuple[Share, Share] = (0.9, 0.999)
    eps: Positive = 1e-6
    weight_decay: NonNegative = 0.01
    correct_bias: bool = True
    layerwise_lr_decay: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="rate of a layer over the one above it"
    )
    warmup_ratio: Share = Field(0.0, description="share of all steps in which the rates rise linearly")
    lr_schedule: Literal["constant", "linear", "cosine"] = Field(
        "constant", description="how the rates fall afterwards"
    )
    max_grad_norm: NonNegative = Field(0.0, description="largest norm of the whole gradient; 0: no clipping")
    embedding_update: Literal["rows", "dense", "frozen"] = Field(
        "rows", description="update only the word-embedding rows of the step (rows), or exact AdamW (dense)"
    )


class SamplingConfig(Strict):
    """Which task's examples come next, and how long."""

    table: ClassVar[str] = "sampling"
    order: OrderName = "joint"
    batch_size: Count = 8
    gradient_accumulation_steps: Count = Field(
        1, description="parts in which a batch is computed; the same but for dropout and noise"
    )
    epochs: Count = 3
    steps_per_epoch: Count | None = Field(
        None,
        description="default: a whole pass over each task, or as many examples as all tasks have together",
    )
    epoch_of: str | None = Field(None, description="joint, round-robin: an epoch is a whole pass over this task")
    fraction: Annotated[float, Field(gt=0, le=1)] = Field(1.0, description="share of each task's own rows trained on")
    size_exponent: NonNegative = Field(1.0, description="temperature: a task is drawn in proportion to size^alpha")
    size_cap: Count | None = Field(None, description="temperature: sizes above this count as this")


class SmartConfig(Strict):
    """SMART (Jiang et al., 2020); on when it has tasks."""

    table: ClassVar[str] = "smart"
    tasks: tuple[str, ...] = Field((), description='tasks it applies to, or "all" for the combined loss')
    weight: NonNegative = Field(1.0, description="lambda_s")
    unit: Literal["embedding-rms", "absolute"] = Field("embedding-rms", description="of radius, noise and step")
    radius: Positive = Field(0.03, description="epsilon: largest offset of a word embedding's coordinate")
    noise_std: NonNegative = Field(0.003, description="sigma: of the random start")
    step_size: Positive = Field(0.3, description="eta: of one ascent step")
    ascent_steps: Count = Field(1, description="T_x: ascent steps")
    dropout_masks: Literal["same", "off", "independent"] = Field(
        "same", description="masks of clean and perturbed pass"
    )
    variant: Literal["paper", "smart-pytorch"] = "paper"
    bregman: Literal["off", "momentum", "vanilla"] = "off"
    bregman_weight: NonNegative = Field(1.0, description="mu")
    bregman_beta: tuple[Share, Share] = Field((0.99, 0.999), description="first 10 % of the steps, and after")
    bregman_update_steps: Count = Field(10, description="vanilla: steps between two anchors")


class SurgeryConfig(Strict):
    """How the tasks' gradients become one."""

    table: ClassVar[str] = "surgery"
    method: str = Field("none", description="none (their sum), pcgrad, gradvac, asymmetric, or a torchjd weighting")
    frequency: Literal["step", "epoch"] = Field("step", description="at each joint step, or once after each epoch")
    granularity: Literal["encoder", "layer"] = "encoder"
    main_task: str | None = Field(None, description="asymmetric: the task whose gradient stays as it is")


class RDropConfig(Strict):
    """R-Drop (Liang et al., 2021); on when it has tasks."""

    tasks: tuple[str, ...] = Field((), description='tasks it applies to, or "all"')
    alpha: Positive = 2.0


class AverageConfig(Strict):
    """Averaged weights, which are scored and saved instead of the last ones."""

    table: ClassVar[str] = "average"
    method: Literal["none", "ema", "tail"] = "none"
    ema_decay: Share = Field(0.999, description="ema: weight of the past")
    tail_start: Share = Field(0.5, description="tail: share of the steps after which averaging begins")


class EvaluationConfig(Strict):
    """When dev is scored, what is kept, when to stop."""

    table: ClassVar[str] = "evaluation"
    eval_steps: Count | None = Field(None, description="steps between evaluations; default: each epoch")
    batch_size: Count = 64
    early_stopping_patience: Count | None = Field(
        None, description="stop after so many evaluations without a better overall score"
    )
    final_weights: Literal["best", "last"] = Field("best", description="which weights the run ends with")
    max_interim_samples: Count | None = Field(
        None, description="dev rows of each task that are looked at while training"
    )
    max_eval_samples: Annotated[int, Field(ge=2)] | None = Field(
        None, description="dev rows of each task that are used at all, for quick studies"
    )


class CheckpointConfig(Strict):
    """What makes a killed run go on."""

    table: ClassVar[str] = "checkpoint"
    save_minutes: Positive = Field(3.0, description="at most so long between checkpoints")
    save_total_limit: Count = Field(2, description="checkpoints kept")


class LogConfig(Strict):
    """What metrics.jsonl gets."""

    table: ClassVar[str] = "log"
    logging_steps: Count = Field(10, description="steps between logged steps")
    diagnostics_steps: Count = Field(50, description="steps between looks at gradients and perturbations")


def _named(name: object, task: object) -> object:
    if isinstance(task, Mapping):
        return {**task, "name": name}
    return task.model_copy(update={"name": name}) if isinstance(task, Task) else task


class Config(Strict):
    """Everything that decides what a run does."""

    table: ClassVar[str] = ""
    recipe: str = Field("cross", description="the recipe this configuration started from")
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    data: str = Field("sample", description="a directory, hub, or sample")
    encoder: str = Field("minilm", description="minilm, a directory in the Hugging Face layout, or a Hub id")
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    threads: Count | None = Field(None, description="default: all cores")
    device: Literal["auto", "cpu", "cuda"] = "auto"
    allow_rejects: bool = Field(False, description="train although more than 1 % of a file's rows are unusable")
    tasks: dict[str, Task]
    model: ModelConfig = ModelConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    sampling: SamplingConfig = SamplingConfig()
    smart: SmartConfig = SmartConfig()
    surgery: SurgeryConfig = SurgeryConfig()
    rdrop: RDropConfig = RDropConfig()
    uncertainty_weighting: bool = Field(False, description="learned task weights (Kendall et al., 2018)")
    average: AverageConfig = AverageConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    log: LogConfig = LogConfig()

    @field_validator("tasks", mode="before")
    @classmethod
    def _name_tasks(cls, tasks: object) -> object:
        """Give each task the name of its table."""
        if not isinstance(tasks, Mapping):
            return tasks
        return {key: _named(key, task) for key, task in tasks.items()}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        faults = list(self._faults())
        if faults:
            raise ValueError("\n".join(faults))
        return self

    def _faults(self) -> Iterator[str]:
        trained = [name for name, task in self.tasks.items() if task.trained]
        if not trained:
            yield "tasks: no task is trained"
        seen: dict[str, str] = {}
        for name in self.tasks:
            if name.casefold() in ("overall", "overall_plain"):
                yield f"tasks: the name {name!r} is taken by the score of all tasks together"
            if name.casefold() in seen:
                yield f"tasks: {seen[name.casefold()]!r} and {name!r} are one name"
            seen[name.casefold()] = name
            if not name.replace("-", "").replace("_", "").isalnum():
                yield f"tasks: the name {name!r} may hold letters, digits, - and _ only"
        for field, chosen in (("smart.tasks", self.smart.tasks), ("rdrop.tasks", self.rdrop.tasks)):
            for name in chosen:
                if name != ALL and name not in trained:
                    yield f"{field}: {name!r} is not a trained task; there are {', '.join(trained)}"
        yield from self._model_faults(trained)
        yield from self._sampling_faults(trained)
        yield from self._surgery_faults(trained)
        yield from self._smart_faults()
        if self.smart.tasks and self.rdrop.tasks and set(self.chosen("smart")) & set(self.chosen("rdrop")):
            yield "rdrop.tasks: a task has either SMART or R-Drop: both would regularize the same passes"

    def _model_faults(self, trained: list[str]) -> Iterator[str]:
        for name, task in self.tasks.items():
            if self.model.freeze_encoder and name in trained and task.plain_similarity:
                yield f"model.freeze_encoder: the head of {name} has no weights of its own, so it would learn nothing"
            if self.model.pooling != "mean" and task.head == "features" and task.encoding == "cross":
                yield f"tasks.{name}.head: features of a pair read together are means; use --model.pooling mean"

    def _sampling_faults(self, trained: list[str]) -> Iterator[str]:
        sampling = self.sampling
        options = ORDER_OPTIONS[sampling.order]
        if sampling.size_cap and not options.sizes:
            yield 'sampling.size_cap: only order = "temperature" has a cap'
        if sampling.size_exponent != 1 and not options.sizes:
            yield 'sampling.size_exponent: only order = "temperature" has an alpha to choose'
        for name in trained:
            if self.tasks[name].extra and (self.tasks[name].batch_size or sampling.batch_size) == 1:
                yield f"tasks.{name}.extra: a batch of 1 has no room for further rows; use a larger batch_size"
        if sampling.epoch_of is None:
            return
        if sampling.epoch_of not in trained:
            yield f"sampling.epoch_of: {sampling.epoch_of!r} is not a trained task; there are {', '.join(trained)}"
        if not options.epoch_of:
            yield (
                f'sampling.epoch_of: with order = "{sampling.order}" an epoch is something else; leave it out, by '
                "--sampling.epoch_of none"
            )
        if sampling.steps_per_epoch:
            yield "sampling.epoch_of: steps_per_epoch says already what an epoch is; leave one out"

    def _surgery_faults(self, trained: list[str]) -> Iterator[str]:
        surgery = self.surgery
        if surgery.main_task is not None and surgery.main_task not in trained:
            yield f"surgery.main_task: {surgery.main_task!r} is not a trained task; there are {', '.join(trained)}"
        if surgery.method == "none":
            return
        if (fault := why_not(surgery.method)) is not None:
            yield f"surgery.method: {fault}"
        if surgery.frequency == "step" and not ORDER_OPTIONS[self.sampling.order].step_surgery:
            yield (
                f'surgery.frequency: a step of order "{self.sampling.order}" has one task, so there is nothing to '
                "operate on; use --sampling.order joint, or --surgery.frequency epoch"
            )
        if len(trained) < 2:
            yield "surgery.method: surgery needs at least two trained tasks"
        if self.model.freeze_encoder:
            yield "surgery.method: the encoder is frozen, so there are no shared gradients; use --surgery.method none"
        if surgery.method == "asymmetric" and surgery.main_task is None:
            yield f"surgery.main_task: name the main task, one of {', '.join(trained)}"

    def _smart_faults(self) -> Iterator[str]:
        if not self.smart.tasks:
            return
        if self.smart.bregman == "vanilla" and self.smart.bregman_update_steps < 2:
            yield (
                "smart.bregman_update_steps: a vanilla teacher renewed after every step equals the model, so its "
                "penalty and gradient are zero; use 2 or more, or --smart.bregman momentum"
            )
        for name in self.chosen("smart"):
            task = self.tasks[name]
            if self.smart.variant == "smart-pytorch" and (task.kind != "class" or task.trained_by == "coral"):
                yield (
                    f"smart.variant: smart-pytorch's divergence is a softmax over classes, which is always 0 for the "
                    f"one output of {name}; use --smart.variant paper, or other smart.tasks"
                )
        if self.model.freeze_encoder:
            yield "smart.tasks: the encoder is frozen, so smoothing it does nothing; use --smart.tasks none"

    def chosen(self, technique: Literal["smart", "rdrop"]) -> tuple[str, ...]:
        """The trained tasks a technique applies to, with ``all`` resolved."""
        wanted = getattr(self, technique).tasks
        trained = tuple(name for name, task in self.tasks.items() if task.trained)
        return trained if ALL in wanted else tuple(name for name in trained if name in wanted)
