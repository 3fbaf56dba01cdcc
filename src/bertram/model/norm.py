"""Layer normalization (Ba et al., 2016)."""

import torch.nn.functional as F
from torch import Tensor, nn

from bertram.model.task_rows import TaskRows


class LayerNorm(nn.LayerNorm):
    """PyTorch's, which can give each task's gradient."""

    def forward(self, x: Tensor, tasks: TaskRows | None = None) -> Tensor:
        """[..., H] to [..., H].

        Args:
            x: rows to normalize.
            tasks: tasks of the rows, where each task's gradient is wanted.
        """
        if tasks is None:
            return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
        return tasks.layer_norm(x, self.weight, self.bias, self.eps)
