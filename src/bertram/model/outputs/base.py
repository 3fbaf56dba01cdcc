"""The contract of a kind of output, and its two general forms: a probability of yes, and a score."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from bertram import smart
from bertram.label_spaces import LabelSpace, ScoreRange, YesNo
from bertram.smart.divergences import Reduction
from bertram.tasks import Task

SMALLEST = 1e-6  # probability whose logarithm is taken for all that are smaller, in fp32


@dataclass(frozen=True)
class DenseForm:
    """An output as dense layers with elementwise activations, for formats that hold nothing else.

    Attributes:
        activation: activation of the head's last layer.
        affine: scale and offset of a further layer, scale · x + offset; None without one.
        prediction: activation that a library applies when it predicts.
        meaning: a sentence about such a prediction.
    """

    activation: type[nn.Module] = nn.Identity
    affine: tuple[float, float] | None = None
    prediction: type[nn.Module] = nn.Identity
    meaning: str = ""


@dataclass(frozen=True)
class ClassifierForm:
    """An output as the logits of a sequence classifier of `transformers`.

    Attributes:
        problem: its ``problem_type``, which says how logits become probabilities.
        labels: names of the logits.
        rows: matrix from the raw outputs to the logits, [labels, width].
        meaning: a sentence about its predictions.
    """

    problem: str
    labels: tuple[str, ...]
    rows: Sequence[Sequence[float]]
    meaning: str


@dataclass(frozen=True)
class Settings:
    """The settings of an output beside its label space.

    Attributes:
        class_weights: factor of the loss of each label; empty: 1.
        label_smoothing: share of a hard label that is spread evenly over all labels in training.
        temperature: divisor of the logits in the meaning.
        thresholds: probability above which yes, or each label, is predicted; empty: 1/2.
    """

    class_weights: tuple[float, ...] = ()
    label_smoothing: float = 0.0
    temperature: float = 1.0
    thresholds: tuple[float, ...] = ()

    @classmethod
    def of(cls, task: Task) -> "Settings":
        """The settings of a task; balanced weights count once their numbers are known (`balanced_weights`)."""
        weights = () if task.class_weights == "balanced" else task.class_weights
        return cls(weights, task.label_smoothing, task.temperature, task.thresholds)


DEFAULTS = Settings()


class Output(ABC):
    """A kind of output.

    Raw outputs have the shape [n, `width`], or [n] if `flat`. Hard labels are [n]: class indices, 0 or 1, scores in
    label units, or sets of labels as numbers. The meaning of raw outputs is [n, K] probabilities of the labels, or [n]
    scores in label units. Soft targets are [n, K] probabilities of classes or labels, [n] probabilities of yes, or [n]
    scores.

    Attributes:
        space: values that a label can take.
        flat: True if an example has one raw output and no axis for it.
        regression: True if the label is a number on a scale.
        meaning_name: name of the meaning in an exported graph.
        settings: weights, smoothing, temperature and thresholds.
    """

    space: LabelSpace
    settings: Settings = DEFAULTS
    flat: ClassVar[bool] = False
    regression: ClassVar[bool] = False
    meaning_name: ClassVar[str] = "probabilities"

    @property
    @abstractmethod
    def width(self) -> int:
        """Number of raw outputs of an example."""

    @property
    def ordered(self) -> bool:
        """True if the labels form a scale."""
        return self.space.ordered

    def layer(self, inputs: int) -> nn.Module:
        """A last layer of a head, [n, inputs] to [n, width]."""
        return nn.Linear(inputs, self.width)

    def start(self, layer: nn.Module, labels: Tensor) -> None:  # noqa: B027 - most layers start well as they are
        """Move the scalars of a last layer to where training starts well.

        Args:
            layer: last layer, made by `layer`.
            labels: hard labels of the training examples, [n].
        """

    @abstractmethod
    def losses(self, raw: Tensor, labels: Tensor) -> Tensor:
        """The loss of each example, [n], for hard labels [n]; the mean is the task's loss L_i."""

    def training_losses(self, raw: Tensor, labels: Tensor) -> Tensor:
        """The loss of each example, [n], with the label smoothing and the class weights of the settings."""
        smoothing, weights = self.settings.label_smoothing, self.settings.class_weights
        if smoothing:
            certain = self.certain(labels)
            targets = (1 - smoothing) * certain + smoothing * self.even
            losses = self.soft_losses(raw, targets)
        else:
            losses = self.losses(raw, labels)
        return losses * torch.tensor(weights, device=raw.device)[labels.long()] if weights else losses

    @property
    def even(self) -> float:
        """The probability in a soft target that prefers no label."""
        return 0.5

    def certain(self, labels: Tensor) -> Tensor:
        """Hard labels [n] as soft targets."""
        return labels.float()

    @abstractmethod
    def soft_losses(self, raw: Tensor, targets: Tensor) -> Tensor:
        """The loss of each example, [n], for soft targets: [n, K] or [n], as `soft_targets` gives them."""

    def soft_losses_at(self, raw: Tensor, targets: Tensor, temperature: float) -> Tensor:  # noqa: ARG002 - no logits
        """`soft_losses` with both sides at a temperature T, times T² (Hinton et al., 2015), [n].

        An output that is no probability of a logit has no temperature.

        Args:
            raw: raw outputs.
            targets: soft targets.
            temperature: T; at 1 this is `soft_losses`.
        """
        return self.soft_losses(raw, targets)

    def soft_targets(self, meaning: Tensor) -> Tensor:
        """A model's meaning, or the mean over several models, as soft targets for another."""
        return meaning

    @abstractmethod
    def meaning(self, raw: Tensor) -> Tensor:
        """Probabilities of the labels, [n, K], or scores in label units, [n]."""

    def logits(self, meaning: Tensor) -> Tensor:
        """Raw outputs that mean these probabilities at temperature 1; for outputs that a temperature can divide."""
        return torch.logit(meaning)

    def cooled(self, raw: Tensor) -> Tensor:
        """Logits in float32, divided by the temperature."""
        temperature = self.settings.temperature
        return raw.float() if temperature == 1 else raw.float() / temperature

    def cooled_formula(self, raw: str) -> str:
        """The cooled output as a formula for readers."""
        temperature = self.settings.temperature
        return raw if temperature == 1 else f"{raw} / {temperature:.4g}"

    def graph(self, raw: Tensor) -> Tensor:
        """The meaning in operations that an exported graph has."""
        return self.meaning(raw)

    def probabilities(self, meaning: Tensor) -> Tensor | None:
        """The probabilities of the labels, [n, K], of which a meaning consists; None for scores."""
        return meaning

    @abstractmethod
    def decide(self, meaning: Tensor) -> Tensor:
        """The predicted value of each example, [n], from the meaning."""

    @abstractmethod
    def divergence(self, p: Tensor, q: Tensor, reduction: Reduction = "mean") -> Tensor:
        """The symmetric divergence ℓ_s of SMART and R-Drop between two raw outputs.

        Args:
            p: raw outputs.
            q: raw outputs of the same shape.
            reduction: ``mean`` over the batch, or ``none`` for a value of each example, [n].
        """

    @abstractmethod
    def formula(self, raw: str) -> str:
        """The meaning as a formula of the raw output, for a reader."""

    def classifier_form(self) -> ClassifierForm | None:
        """The output for a sequence classifier of `transformers`; None if it cannot be held."""
        return None

    def dense_form(self) -> DenseForm | None:
        """The output for formats that hold dense layers only; None if it cannot be held."""
        return None


class YesNoOutput(Output):
    """An output that means a probability of yes."""

    space: YesNo
    flat: ClassVar[bool] = True

    @property
    def width(self) -> int:
        """One raw output."""
        return 1

    @abstractmethod
    def yes(self, raw: Tensor) -> Tensor:
        """The probability of yes, [n]."""

    def soft_targets(self, meaning: Tensor) -> Tensor:
        """The probability of yes, [n]."""
        return meaning[:, 1]

    def meaning(self, raw: Tensor) -> Tensor:
        """The probabilities of no and yes, [n, 2]."""
        yes = self.yes(raw.float())
        return torch.stack([1 - yes, yes], dim=1)

    @property
    def decision(self) -> str:
        """The end of a sentence about the probability: the threshold; empty without one."""
        thresholds = self.settings.thresholds
        return f"; the run predicts “{self.space.names[1]}” above {thresholds[0]:.3g}" if thresholds else ""

    def decide(self, meaning: Tensor) -> Tensor:
        """The likelier of no (0) and yes (1), or yes where its probability is above the threshold."""
        if self.settings.thresholds:
            return (meaning[:, 1] > self.settings.thresholds[0]).long()
        return meaning.argmax(1)


class ScoreOutput(Output):
    """An output that means a score."""

    space: ScoreRange
    flat: ClassVar[bool] = True
    regression: ClassVar[bool] = True
    meaning_name: ClassVar[str] = "score"

    @property
    def width(self) -> int:
        """One raw output."""
        return 1

    @abstractmethod
    def unit(self, raw: Tensor) -> Tensor:
        """The score in units of the label range, [n] on [0, 1]."""

    @abstractmethod
    def unit_formula(self, raw: str) -> str:
        """`unit` as a formula of the raw output."""

    def losses(self, raw: Tensor, labels: Tensor) -> Tensor:
        """Squared error, in squared label units."""
        return (self.meaning(raw) - labels).square().float()

    def soft_losses(self, raw: Tensor, targets: Tensor) -> Tensor:
        """The loss for the target as a label: a score is a score."""
        return self.losses(raw, targets)

    def meaning(self, raw: Tensor) -> Tensor:
        """The score in label units, [n]."""
        low, high = self.space.bounds
        return low + (high - low) * self.unit(raw.float())

    def probabilities(self, meaning: Tensor) -> Tensor | None:  # noqa: ARG002
        """None: a score has no probabilities."""
        return None

    def decide(self, meaning: Tensor) -> Tensor:
        """The score itself."""
        return meaning

    def divergence(self, p: Tensor, q: Tensor, reduction: Reduction = "mean") -> Tensor:
        """Squared difference in units of the label range."""
        return smart.squared_difference(self.unit(p), self.unit(q), reduction=reduction)

    def formula(self, raw: str) -> str:
        """The score in label units."""
        low, high = self.space.bounds
        return f"score = {low:g} + {high - low:g} · {self.unit_formula(raw)}"


def identity_rows(count: int) -> list[list[float]]:
    """The rows of an identity matrix."""
    return [[float(row == column) for column in range(count)] for row in range(count)]
