"""The typed configuration of a run: one value that is command line, TOML file and record alike.

`bertram.options` makes it from files and the command line.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from bertram.surgery.names import why_not
from bertram.task_files import Strict
from bertram.tasks import Task, is_task_name

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
Weight = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
ALL = "all"


@dataclass(frozen=True)
class OrderOptions:
    """The options that an order of the tasks can be combined with; `bertram.training.orders` has its steps.

    Attributes:
        step_surgery: surgery at each step, which needs a batch of every task in it.
        epoch_of: an epoch that is a whole pass over one task.
        sizes: an exponent and a cap of the sizes by which tasks are drawn.
        first_task: a task that begins the passes.
    """

    step_surgery: bool = False
    epoch_of: bool = False
    sizes: bool = False
    first_task: bool = False


ORDER_OPTIONS: dict[OrderName, OrderOptions] = {
    "sequential": OrderOptions(first_task=True),
    "rotating": OrderOptions(first_task=True),
    "worst-last": OrderOptions(first_task=True),
    "joint": OrderOptions(step_surgery=True, epoch_of=True),
    "round-robin": OrderOptions(epoch_of=True),
    "proportional": OrderOptions(),
    "square-root": OrderOptions(),
    "annealed": OrderOptions(),
    "temperature": OrderOptions(sizes=True),
}


class ModelConfig(Strict):
    """Encoder, pooling and heads."""

    pooling: Literal["cls", "mean", "pooler"] = Field(
        "cls", description="vector of a text: the [CLS] token, the mean of its tokens, or BERT's pooler"
    )
    head_dropout: Share = Field(0.3, description="dropout rate before the heads")
    encoder_dropout: Share | None = Field(
        None, description="dropout rate inside the encoder; none: the rate it was pretrained with"
    )
    freeze_encoder: bool = Field(False, description="train only the heads")
    both_orders: bool = Field(
        False,
        description="read cross-encoded pairs in both orders: train on either, predict the mean of both",
    )
    max_length: Annotated[int, Field(ge=8)] | None = Field(
        None,
        description="maximum sequence length in tokens; longer inputs are truncated; none: the encoder's limit",
    )


class OptimizerConfig(Strict):
    """AdamW and its learning-rate schedule."""

    lr: Positive = Field(2e-5, description="learning rate of the encoder")
    head_lr: Positive = Field(
        1e-3, description="learning rate of the heads, their scales and offsets, and the learned task weights"
    )
    betas: tuple[Share, Share] = Field(
        (0.9, 0.999), description="decay rates of the running means of the gradient and of its square"
    )
    eps: Positive = Field(1e-6, description="constant added to the denominator of the update")
    weight_decay: NonNegative = Field(0.01, description="weight decay, decoupled from the gradient")
    correct_bias: bool = Field(True, description="bias correction of the running means")
    layerwise_lr_decay: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="learning rate of a layer divided by that of the layer above it"
    )
    warmup_ratio: Share = Field(0.0, description="share of all steps in which the learning rates rise linearly from 0")
    lr_schedule: Literal["constant", "linear", "cosine"] = Field(
        "constant", description="course of the learning rates after warmup; linear and cosine fall to 0"
    )
    max_grad_norm: NonNegative = Field(0.0, description="gradient clipping: maximum norm of the gradient; 0: none")
    embedding_update: Literal["rows", "dense", "frozen"] = Field(
        "rows",
        description="word embeddings that are updated: the rows of the step's tokens, all rows (exact AdamW), or none",
    )


class SamplingConfig(Strict):
    """Order of the tasks, batches, and length of the training."""

    order: OrderName = Field("joint", description="order of the tasks")
    batch_size: Count = Field(8, description="examples of a task per batch")
    gradient_accumulation_steps: Count = Field(
        1, description="micro-batches per batch; results differ only by dropout and noise"
    )
    epochs: Count = Field(3, description="number of epochs")
    steps_per_epoch: Count | None = Field(
        None,
        description="steps per epoch; none: one pass over each task, or as many examples as all tasks have together",
    )
    epoch_of: str | None = Field(
        None, description="task whose training rows are one epoch (orders joint and round-robin)"
    )
    first_task: str | None = Field(
        None,
        description="task that begins an epoch of passes; the others follow in their cyclic order "
        "(orders sequential, rotating and worst-last: of the first epoch); none: the first task of the configuration",
    )
    fraction: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="share of each task's own training rows that is used"
    )
    size_exponent: NonNegative = Field(
        1.0, description="order temperature: a task is drawn with probability proportional to size^exponent"
    )
    size_cap: Count | None = Field(
        None, description="order temperature: maximum number of rows counted as a task's size; none: no maximum"
    )


class SmartConfig(Strict):
    """SMART regularization (Jiang et al., 2020)."""

    tasks: tuple[str, ...] = Field(
        (), description='tasks that SMART applies to, or "all" for the sum of the losses; none: off'
    )
    weight: NonNegative = Field(1.0, description="λ_s, factor of the smoothness penalty")
    unit: Literal["embedding-rms", "absolute"] = Field(
        "embedding-rms", description="unit of radius, noise_std and step_size"
    )
    radius: Positive = Field(0.03, description="ε, largest change of a coordinate of a word embedding")
    noise_std: NonNegative = Field(0.003, description="σ, standard deviation of the random start")
    step_size: Positive = Field(0.3, description="η, size of one ascent step")
    ascent_steps: Count = Field(1, description="T_x, number of ascent steps")
    dropout_masks: Literal["same", "off", "independent"] = Field(
        "same", description="dropout masks of the clean and the perturbed pass"
    )
    variant: Literal["paper", "smart-pytorch"] = Field(
        "paper", description="penalty as the paper defines it, or as the package smart-pytorch computes it"
    )
    bregman: Literal["off", "momentum", "vanilla"] = Field(
        "off", description="Bregman proximal point: its teacher is a moving average, or a copy of earlier weights"
    )
    bregman_weight: NonNegative = Field(1.0, description="μ, factor of the Bregman divergence")
    bregman_beta: tuple[Share, Share] = Field(
        (0.99, 0.999), description="β, weight of the past in the moving average: first 10 % of the steps, and after"
    )
    bregman_update_steps: Count = Field(10, description="bregman vanilla: steps between two copies of the weights")


class SurgeryConfig(Strict):
    """Gradient surgery, which combines the gradients of the tasks."""

    method: str = Field(
        "none",
        description="none (sum of the gradients), pcgrad, gradvac, asymmetric, config, nash-mtl, or a rule of torchjd",
    )
    frequency: Literal["step", "epoch"] = Field(
        "step", description="time of surgery: each joint step, or once after each epoch"
    )
    granularity: Literal["encoder", "layer"] = Field(
        "encoder", description="vectors that are compared: the gradient of the whole encoder, or of each layer"
    )
    main_task: str | None = Field(None, description="method asymmetric: the task whose gradient stays as it is")
    gradients: Literal["packed", "task-by-task"] = Field(
        "packed",
        description="passes for the tasks' gradients: one for all tasks, or one for each, which is slower and keeps "
        "the activations of one task in memory at a time",
    )

    @property
    def on(self) -> bool:
        """True if the gradients are more than added up."""
        return self.method != "none"


class RDropConfig(Strict):
    """R-Drop (Liang et al., 2021)."""

    tasks: tuple[str, ...] = Field((), description='tasks that R-Drop applies to, or "all"; none: off')
    alpha: Positive = Field(2.0, description="α, factor of the divergence between two dropout passes")


class DistillConfig(Strict):
    """Distillation: learning from the outputs of trained models (Clark et al., 2019)."""

    teachers: tuple[str, ...] = Field((), description="run directories of the teachers; none: off")
    gold_weight: tuple[Weight, Weight] = Field(
        (0.0, 1.0),
        description="λ, weight of the gold labels' loss at the first and at the last step; the teachers' has 1 - λ",
    )
    temperature: Positive = Field(
        1.0, description="temperature of the teachers' and the student's probabilities; 1: as they are"
    )
    outputs: str | None = Field(
        None,
        description="directory in which the teachers' outputs are kept, for several students; none: the run directory",
    )


class AverageConfig(Strict):
    """Averaged weights, which are scored and saved in place of the last ones."""

    method: Literal["none", "ema", "tail"] = Field(
        "none", description="exponential moving average (ema), or mean over the last steps (tail)"
    )
    ema_decay: Share = Field(0.999, description="method ema: weight of the past average at each step")
    tail_start: Share = Field(0.5, description="method tail: share of the steps after which averaging begins")


class EvaluationConfig(Strict):
    """Evaluation on dev, choice of the weights, early stopping."""

    eval_steps: Count | None = Field(None, description="steps between two evaluations; none: after each epoch")
    batch_size: Count = Field(64, description="examples per batch when evaluating")
    early_stopping_patience: Count | None = Field(
        None, description="evaluations without a better overall score before training stops; none: no early stopping"
    )
    final_weights: Literal["best", "last"] = Field(
        "best", description="weights of the finished run: those with the best overall score, or the last"
    )
    max_interim_samples: Count | None = Field(
        None, description="dev rows of each task in evaluations during training; none: all rows"
    )
    max_eval_samples: Annotated[int, Field(ge=2)] | None = Field(
        None, description="dev rows of each task in every evaluation, the final one included; none: all rows"
    )


class SplitConfig(Strict):
    """Dev rows of tasks that name no dev file: rows held out of their training files."""

    dev_share: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.2, description="share of the training rows that is held out as dev rows where a task names no dev file"
    )
    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(
        0, description="random seed of the held-out rows, the same for all runs that shall be compared"
    )
    keep_together: Literal["texts", "examples"] = Field(
        "texts", description="rows on one side of the split: those that share a text, or only those with equal texts"
    )
    same_as: str | None = Field(
        None, description="run directory whose held-out rows are used again; further tasks are split to fit them"
    )
    folds: Annotated[int, Field(ge=2)] | None = Field(
        None, description="number of folds of a cross-validation; none: one split by dev_share"
    )
    fold: Annotated[int, Field(ge=0)] | None = Field(
        None, description="fold that is held out, from 0; dev files are then not used"
    )


class CheckpointConfig(Strict):
    """Checkpoints, from which an interrupted run continues."""

    save_minutes: Positive = Field(3.0, description="minutes between two checkpoints")
    save_total_limit: Count = Field(2, description="number of checkpoints kept")


class LogConfig(Strict):
    """Contents of metrics.jsonl."""

    logging_steps: Count = Field(10, description="steps between two logged steps")
    diagnostics_steps: Count = Field(
        50,
        description="steps between two measurements of gradients and perturbations; 1: the update follows the sum of "
        "the measured gradients, which differs by rounding",
    )


class PretrainConfig(Strict):
    """Further pretraining as a masked language model (`bertram pretrain`)."""

    epochs: Count = Field(3, description="number of passes over the texts")
    max_steps: Count | None = Field(None, description="number of steps, in place of the epochs")
    batch_size: Count = Field(64, description="texts per batch")
    lr: Positive = Field(1e-4, description="learning rate after warmup; it falls linearly to 0")
    warmup_ratio: Share = Field(0.06, description="share of all steps in which the learning rate rises from 0")
    weight_decay: NonNegative = Field(0.01, description="weight decay, decoupled from the gradient")
    max_grad_norm: NonNegative = Field(1.0, description="maximum norm of the gradient; 0: none")
    mask_probability: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.15, description="share of the tokens that are predicted"
    )
    whole_word: bool = Field(False, description="choose all tokens of a word together")
    max_length: Annotated[int, Field(ge=8)] | None = Field(
        None, description="maximum sequence length in tokens; none: the encoder's limit"
    )


def _with_name(name: object, task: object) -> object:
    if isinstance(task, Mapping):
        return {**task, "name": name}
    return task.model_copy(update={"name": name}) if isinstance(task, Task) else task


class Config(Strict):
    """Everything that decides what a run does."""

    recipe: str = Field("cross", description="recipe that this configuration started from")
    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(0, description="random seed")
    data: str = Field("sample", description="directory with the data files; or hub, or sample")
    encoder: str = Field("minilm", description="minilm, mpnet, a directory in the Hugging Face layout, or a Hub id")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="precision of the matrix multiplications; auto: bf16 if it is faster"
    )
    threads: Count | None = Field(None, description="number of CPU threads; none: one per core")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="device that trains; auto: cuda if there is a GPU"
    )
    allow_rejects: bool = Field(False, description="train even if more than 1 % of a file's rows are rejected")
    tasks: dict[str, Task]
    model: ModelConfig = ModelConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    sampling: SamplingConfig = SamplingConfig()
    smart: SmartConfig = SmartConfig()
    surgery: SurgeryConfig = SurgeryConfig()
    rdrop: RDropConfig = RDropConfig()
    uncertainty_weighting: bool = Field(
        False, description="learn the weights of the tasks' losses (Kendall et al., 2018)"
    )
    distill: DistillConfig = DistillConfig()
    average: AverageConfig = AverageConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    split: SplitConfig = SplitConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    log: LogConfig = LogConfig()

    @field_validator("tasks", mode="before")
    @classmethod
    def _name_tasks(cls, tasks: object) -> object:
        """Give each task the name of its table."""
        if not isinstance(tasks, Mapping):
            return tasks
        return {key: _with_name(key, task) for key, task in tasks.items()}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        faults = list(self._faults())
        if faults:
            raise ValueError("\n".join(faults))
        return self

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with some fields replaced, not checked; `sampling.epoch_of` is dropped with the task it names."""
        if update and "sampling" not in update and self.sampling.epoch_of not in update.get("tasks", self.tasks):
            update = {**update, "sampling": self.sampling.model_copy(update={"epoch_of": None})}
        return super().model_copy(update=update, deep=deep)

    def _faults(self) -> Iterator[str]:
        trained = [name for name, task in self.tasks.items() if task.trained]
        if not trained:
            yield "tasks: no task is trained"
        spellings: dict[str, str] = {}
        for name in self.tasks:
            if name.casefold() in ("overall", "overall_plain"):
                yield f"tasks: the name {name!r} is reserved for the score of all tasks together"
            if name.casefold() in spellings:
                yield f"task names {spellings[name.casefold()]!r} and {name!r} differ only in case"
            spellings[name.casefold()] = name
            if not is_task_name(name):
                yield f"tasks: invalid name {name!r}; use letters, digits, - and _"
        for field, chosen in (("smart.tasks", self.smart.tasks), ("rdrop.tasks", self.rdrop.tasks)):
            for name in chosen:
                if name != ALL and name not in trained:
                    yield f"{field}: {name!r} is not a trained task; choose from {', '.join(trained)}"
        yield from self._model_faults(trained)
        yield from self._sampling_faults(trained)
        yield from self._surgery_faults(trained)
        yield from self._smart_faults()
        yield from self._distill_faults()
        if self.split.same_as is not None and self.split.fold is not None:
            yield "split.same_as: folds are not those of another run; set same_as or fold"
        if (self.split.folds is None) != (self.split.fold is None):
            yield "split: folds and fold belong together; set both, or neither"
        elif self.split.fold is not None and self.split.fold >= (self.split.folds or 0):
            yield f"split.fold: {self.split.fold} is not below split.folds = {self.split.folds}; folds count from 0"
        if self.smart.tasks and self.rdrop.tasks and set(self.chosen("smart")) & set(self.chosen("rdrop")):
            yield "rdrop.tasks: SMART and R-Drop cannot apply to the same task; choose one for each task"

    def _model_faults(self, trained: list[str]) -> Iterator[str]:
        for name, task in self.tasks.items():
            if self.model.freeze_encoder and name in trained and task.plain_similarity:
                yield f"model.freeze_encoder: the head of {name} has no weights to train; use another head"
            if self.model.pooling != "mean" and task.compares_within:
                yield f"tasks.{name}.head: features of a cross-encoded pair need --model.pooling mean"

    def _sampling_faults(self, trained: list[str]) -> Iterator[str]:
        sampling = self.sampling
        order = ORDER_OPTIONS[sampling.order]
        if sampling.size_cap and not order.sizes:
            yield 'sampling.size_cap: used only by order = "temperature"'
        if sampling.size_exponent != 1 and not order.sizes:
            yield 'sampling.size_exponent: used only by order = "temperature"'
        if sampling.first_task is not None and not order.first_task:
            yield f'sampling.first_task: order = "{sampling.order}" has no passes over the tasks; leave it out'
        if sampling.first_task is not None and sampling.first_task not in trained:
            yield (
                f"sampling.first_task: {sampling.first_task!r} is not a trained task; choose from {', '.join(trained)}"
            )
        for name in trained:
            task = self.tasks[name]
            if (task.batch_size or sampling.batch_size) <= len(task.further):
                place = next(iter(task.further))
                yield f"tasks.{name}.{place}: needs a batch_size of at least {len(task.further) + 1}"
        if sampling.epoch_of is None:
            return
        if sampling.epoch_of not in trained:
            yield f"sampling.epoch_of: {sampling.epoch_of!r} is not a trained task; choose from {', '.join(trained)}"
        if not order.epoch_of:
            yield (
                f'sampling.epoch_of: order = "{sampling.order}" defines an epoch differently; '
                "use --sampling.epoch_of none"
            )
        if sampling.steps_per_epoch:
            yield "sampling: epoch_of and steps_per_epoch both define an epoch; set only one"

    def _surgery_faults(self, trained: list[str]) -> Iterator[str]:
        surgery = self.surgery
        if surgery.main_task is not None and surgery.main_task not in trained:
            yield f"surgery.main_task: {surgery.main_task!r} is not a trained task; choose from {', '.join(trained)}"
        if not surgery.on:
            return
        if (fault := why_not(surgery.method)) is not None:
            yield f"surgery.method: {fault}"
        if surgery.frequency == "step" and not ORDER_OPTIONS[self.sampling.order].step_surgery:
            yield (
                f'surgery.frequency: with order = "{self.sampling.order}" each step has one task, so there are no '
                "gradients to combine; use --sampling.order joint or --surgery.frequency epoch"
            )
        if len(trained) < 2:
            yield "surgery.method: surgery needs at least two trained tasks"
        if self.model.freeze_encoder:
            yield "surgery.method: a frozen encoder has no gradients to combine; use --surgery.method none"
        if surgery.method == "asymmetric" and surgery.main_task is None:
            yield f"surgery.main_task: method asymmetric needs a main task, one of {', '.join(trained)}"

    def _smart_faults(self) -> Iterator[str]:
        if not self.smart.tasks:
            return
        if self.smart.bregman == "vanilla" and self.smart.bregman_update_steps < 2:
            yield (
                "smart.bregman_update_steps: a copy made after every step equals the model, so its penalty is always "
                "zero; use at least 2, or --smart.bregman momentum"
            )
        for name in self.chosen("smart"):
            task = self.tasks[name]
            if self.smart.variant == "smart-pytorch" and not task.softmax:
                yield (
                    f"smart.variant: the divergence of smart-pytorch is always 0 for {name}, which has no softmax over "
                    "classes; use --smart.variant paper, or other smart.tasks"
                )
        if self.model.freeze_encoder:
            yield "smart.tasks: SMART has no effect on a frozen encoder; use --smart.tasks none"

    def _distill_faults(self) -> Iterator[str]:
        teachers = self.distill.teachers
        for path in sorted({path for path in teachers if teachers.count(path) > 1}):
            yield f"distill.teachers: {path} is named twice"
        for name, task in self.tasks.items():
            if task.unlabelled and not task.trained:
                yield f"tasks.{name}.unlabelled: the task is not trained, so its rows would not be used"
            elif task.unlabelled and not teachers:
                yield f"tasks.{name}.unlabelled: only teachers can label these rows; name some in distill.teachers"

    def with_tasks(self, **tasks: Task) -> "Config":
        """A copy that trains exactly these tasks, each by its name: ``recipe("cross").with_tasks(mood=Task(...))``.

        Raises:
            ConfigError: the rest of the configuration does not fit them.
        """
        from bertram.options import change  # noqa: PLC0415 - options know this module

        return change(self, tasks=tasks)

    def chosen(self, technique: Literal["smart", "rdrop"]) -> tuple[str, ...]:
        """The trained tasks that a technique applies to, with ``all`` resolved."""
        names = getattr(self, technique).tasks
        trained = tuple(name for name, task in self.tasks.items() if task.trained)
        return trained if ALL in names else tuple(name for name in trained if name in names)
