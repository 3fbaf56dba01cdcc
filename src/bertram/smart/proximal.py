"""The Bregman proximal point of SMART: each step stays close to where the model was.

Jiang et al., ACL 2020, "Bregman Proximal Point Optimization": to the loss, add mu D(theta, theta~), where D is the mean
divergence between the model's outputs and those of a teacher with the weights theta~, which are earlier weights (VBPP,
equation 2) or their moving average (MBPP).

    >>> import torch
    >>> from bertram import smart
    >>> model = torch.nn.Sequential(torch.nn.Dropout(0.1), torch.nn.Linear(8, 5))
    >>> optimizer = torch.optim.AdamW(model.parameters())
    >>> proximal = smart.BregmanProximal(model, total_steps=3)
    >>> for step in range(3):
    ...     inputs, labels = torch.randn(16, 8), torch.randint(5, (16,))
    ...     logits = model(inputs)
    ...     loss = torch.nn.functional.cross_entropy(logits, labels)
    ...     (loss + proximal.loss(smart.symmetric_kl, logits, proximal.teacher(inputs))).backward()
    ...     optimizer.step()
    ...     optimizer.zero_grad()
    ...     proximal.update()
"""

import copy
import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from bertram.smart.divergences import Outputs, detached


class BregmanProximal:
    """A teacher with earlier weights of a model, and the penalty for leaving it.

    `teacher` is a copy of the model, to be called like it: always in evaluation mode, so without dropout, and without
    gradients. It costs the memory of the weights once; weights that are trained in bfloat16 or float16 are averaged in
    float32, which costs another copy of these. Frozen integer and 8-bit weights, as of a quantized model under LoRA,
    stay as they are. It is no module: keep its `state_dict` in a checkpoint of its own.

    Args:
        model: model that is trained.
        mode: ``momentum`` (MBPP) or ``vanilla`` (VBPP).
        mu: weight of the penalty.
        betas: weight of the past in the moving average, in the first tenth of the steps and after (momentum).
        total_steps: optimizer steps of the whole training (momentum); without it the second beta is used throughout.
        every: optimizer steps between two renewals of the teacher (vanilla).

    Raises:
        ValueError: an unknown mode, or vanilla with a renewal after every step.
    """

    def __init__(
        self,
        model: nn.Module,
        mode: Literal["momentum", "vanilla"] = "momentum",
        *,
        mu: float = 1.0,
        betas: tuple[float, float] = (0.99, 0.999),
        total_steps: int | None = None,
        every: int = 10,
    ) -> None:
        if mode not in ("momentum", "vanilla"):
            raise ValueError(f"Bregman proximal point {mode!r}: choose momentum or vanilla")
        if not 0 <= mu < math.inf:
            raise ValueError(f"mu = {mu}: must be 0 or more")
        if len(betas) != 2 or not all(0 <= beta <= 1 for beta in betas):
            raise ValueError(f"betas = {betas}: must be two numbers from 0 to 1")
        if mode == "vanilla" and every < 2:
            raise ValueError(
                "the vanilla Bregman proximal point needs a teacher that is renewed every 2 optimizer steps or less "
                "often: one with the current weights has the current outputs, so the penalty and its gradient are "
                "zero (but for dropout). Raise the number of steps, or use momentum"
            )
        self.mode, self.mu, self.betas, self.total_steps, self.every = mode, mu, betas, total_steps, every
        self.model = model
        self.steps = 0
        self.teacher = copy.deepcopy(model).eval().requires_grad_(False)
        # In bfloat16 a step of 1 - beta is below rounding: such weights are averaged in float32 beside the teacher.
        trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
        self._average = {
            name: weight.to(torch.promote_types(weight.dtype, torch.float32)) if name in trained else weight
            for name, weight in self.teacher.named_parameters()
            if name in trained or (weight.is_floating_point() and weight.element_size() > 1)
        }

    @property
    def beta(self) -> float:
        """Weight of the past at the next update; 0 where the teacher takes over the model's weights."""
        if self.mode == "vanilla":
            return 1.0 if (self.steps + 1) % self.every else 0.0
        early = self.total_steps is not None and self.steps < 0.1 * self.total_steps
        return self.betas[0] if early else self.betas[1]

    @torch.no_grad()
    def update(self) -> None:
        """Move the teacher after an optimizer step: theta~ <- (1 - beta) theta + beta theta~."""
        beta = self.beta
        self.steps += 1
        if beta == 1.0:
            return
        students, buffers = dict(self.model.named_parameters()), dict(self.model.named_buffers())
        for name, average in self._average.items():
            average.lerp_(students[name].to(average.dtype), 1.0 - beta)
            self.teacher.get_parameter(name).copy_(average)
        for name, buffer in self.teacher.named_buffers():
            buffer.copy_(buffers[name])

    def loss(
        self, divergence: Callable[[Outputs, Outputs], Tensor], outputs: Outputs, teacher_outputs: Outputs
    ) -> Tensor:
        """Compute mu D, to be added to the loss.

        Args:
            divergence: divergence of the model's and the teacher's outputs: their mean over the batch, or one value
                for each example.
            outputs: outputs of the model, with their graph.
            teacher_outputs: outputs of the teacher on the same inputs; used without a graph.
        """
        return self.mu * divergence(outputs, detached(teacher_outputs)).mean()

    def state_dict(self) -> dict[str, Any]:
        """State for a checkpoint."""
        return {"steps": self.steps, "weights": self._average, "buffers": dict(self.teacher.named_buffers())}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.steps = state["steps"]
        for name, average in self._average.items():
            average.copy_(state["weights"][name])
            self.teacher.get_parameter(name).copy_(average)
        for name, buffer in self.teacher.named_buffers():
            buffer.copy_(state["buffers"][name])
