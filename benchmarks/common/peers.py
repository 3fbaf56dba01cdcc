"""The other side: the same mathematics as people write them with transformers, smart-pytorch and torchjd.

Each batch is padded to its longest text and each text of a pair is a batch of its own; attention is PyTorch's fused
kernel, the optimizer `torch.optim.AdamW`, bf16 `torch.autocast`. Weights, heads, sentences, losses, rates and dropout
are those of our side.
"""

import copy
import itertools
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from smart_pytorch import SMARTLoss, kl_loss, sym_kl_loss
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torchjd.aggregation import PCGrad
from torchjd.autojac import jac_to_grad, mtl_backward
from transformers import BertModel
from transformers.utils import logging

from bertram.config import Config
from bertram.data.examples import Batch, Examples, Sequences
from bertram.model.heads import Similarity
from bertram.model.multitask import Multitask
from bertram.model.pretrained import find

logging.set_verbosity_error()
logging.disable_progress_bar()

SMART_WEIGHT = 0.02  # as in the package's own example


@dataclass(frozen=True)
class SurgeryWay:
    """torchjd's documented choices: how many tasks are differentiated at once, and how the Gramian is computed."""

    at_once: int | None = None  # None: all tasks by vmap
    sum_of_gramians: bool = False  # documented to save memory

    def __str__(self) -> str:
        at_once = "all tasks at once" if self.at_once is None else "one task after the other"
        return f"{at_once}{', sum of Gramians' if self.sum_of_gramians else ''}"


WAYS = [SurgeryWay(at_once, summed) for at_once, summed in itertools.product((None, 1), (False, True))]


class CosineHead(nn.Module):
    """A cosine with a learned scale and offset."""

    def __init__(self, scale: float, offset: float) -> None:
        super().__init__()
        self.scale, self.offset = nn.Parameter(torch.tensor(scale)), nn.Parameter(torch.tensor(offset))

    def forward(self, u: Tensor, v: Tensor) -> Tensor:
        return self.scale * F.cosine_similarity(u, v) + self.offset


class PaddedNetwork(nn.Module):
    """BertModel and a head for each task.

    Args:
        directory: of the pretrained weights.
        ours: whose heads are copied.
        dropout: before the heads.
    """

    def __init__(self, directory: Path, ours: Multitask, dropout: float) -> None:
        super().__init__()
        self.bert = BertModel.from_pretrained(directory, add_pooling_layer=False, attn_implementation="sdpa")
        self.dropout = nn.Dropout(dropout)
        self.tasks = ours.tasks
        self.heads = nn.ModuleDict({name: _copied(head.compare) for name, head in ours.task_heads()})

    def vectors(self, sequences: Sequences) -> Tensor:
        """[CLS] of each sequence, [n, H]."""
        hidden: Tensor = self.bert(**padded(sequences)).last_hidden_state
        return hidden[:, 0]

    def output(self, task: str, *vectors: Tensor) -> Tensor:
        """Raw outputs from the vector of each text."""
        raw: Tensor = self.heads[task](*(self.dropout(one) for one in vectors))
        return raw.squeeze(1) if raw.ndim > 1 and self.tasks[task].kind != "class" else raw


def _copied(head: nn.Module) -> nn.Module:
    if isinstance(head, Similarity):
        return CosineHead(float(head.scale.detach()), float(head.offset.detach()))
    return copy.deepcopy(head)


def padded(sequences: Sequences) -> dict[str, Tensor]:
    """Token ids, segments and mask, padded to the longest."""
    return {
        "input_ids": pad_sequence([torch.tensor(tokens) for tokens, _ in sequences], batch_first=True),
        "token_type_ids": pad_sequence([torch.tensor(segments) for _, segments in sequences], batch_first=True),
        "attention_mask": pad_sequence([torch.ones(len(t), dtype=torch.long) for t, _ in sequences], batch_first=True),
    }


def texts(batch: Batch) -> list[Sequences]:
    """The sequences of each text of an example: two lists for pairs encoded text by text, else one."""
    return [batch.sequences[begin : begin + len(batch)] for begin in range(0, len(batch.sequences), len(batch))]


@dataclass
class TaskResult:
    """What the forward pass of one task gives.

    Attributes:
        loss: without penalty.
        total: with it.
        features: the encoder's outputs, from which torchjd splits heads and encoder.
    """

    loss: Tensor
    total: Tensor
    features: list[Tensor] = field(default_factory=list)


class Peers:
    """The same step with the peers' libraries.

    Args:
        config: of our side.
        ours: the network whose heads are copied before anything is trained.
        way: how torchjd is used.
    """

    def __init__(self, config: Config, ours: Multitask, way: SurgeryWay = WAYS[0]) -> None:
        self.network = PaddedNetwork(find(config.encoder), ours, config.model.head_dropout).train()
        self.smart_tasks = config.chosen("smart")
        self.surgery = config.surgery.method == "pcgrad"
        self.bf16 = config.precision == "bf16"
        self.optimizer = optimizer(config, self.network)
        self.aggregator, self.way = PCGrad(), way

    def step(self, batches: Sequence[Batch]) -> dict[str, float]:
        """One update."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            results = {batch.task: self._forward(batch) for batch in batches}
        if self.surgery:
            self._surgery(list(results.values()))
        else:
            torch.stack([result.total for result in results.values()]).sum().backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return {task: float(result.loss.detach()) for task, result in results.items()}

    @contextmanager
    def without_dropout(self) -> Iterator[None]:
        """Dropout switched off, so that losses can be compared."""
        self.network.eval()
        yield
        self.network.train()

    def take_fastest_way(self, batches: Sequence[Batch]) -> None:
        """Time each of torchjd's documented choices once, after a step that warms up, and keep the fastest."""
        seconds = {}
        for self.way in WAYS:
            self.step(batches)
            begun = time.perf_counter()
            self.step(batches)
            seconds[self.way] = time.perf_counter() - begun
        self.way = min(seconds, key=lambda way: seconds[way])

    def _forward(self, batch: Batch) -> TaskResult:
        if batch.task in self.smart_tasks:
            return self._smart(batch)
        features = [self.network.vectors(one) for one in texts(batch)]
        loss = self._loss(batch, self.network.output(batch.task, *features))
        return TaskResult(loss, loss, features)

    def _smart(self, batch: Batch) -> TaskResult:
        """smart-pytorch's penalty by its example, but on the word embeddings, so that positions are added once."""
        inputs = padded(batch.sequences)
        embedded = self.network.bert.embeddings.word_embeddings(inputs.pop("input_ids"))
        features: list[Tensor] = []

        def evaluate(embedded: Tensor) -> Tensor:
            features.append(self.network.bert(inputs_embeds=embedded, **inputs).last_hidden_state[:, 0])
            return self.network.output(batch.task, features[-1])

        clean = evaluate(embedded)
        loss = self._loss(batch, clean)
        penalty = SMARTLoss(eval_fn=evaluate, loss_fn=kl_loss, loss_last_fn=sym_kl_loss)(embedded, clean)
        return TaskResult(loss, loss + SMART_WEIGHT * penalty, [features[0], features[-1]])

    def _loss(self, batch: Batch, raw: Tensor) -> Tensor:
        assert batch.labels is not None
        kind = self.network.tasks[batch.task].kind
        if kind == "class":
            return F.cross_entropy(raw, batch.labels)
        if kind == "binary":
            return F.binary_cross_entropy_with_logits(raw, batch.labels.float())
        return F.mse_loss(5 * torch.sigmoid(raw), batch.labels)

    def _surgery(self, results: list[TaskResult]) -> None:
        features = [one for result in results for one in result.features]
        mtl_backward([result.total for result in results], features=features, parallel_chunk_size=self.way.at_once)
        shared = [parameter for parameter in self.network.bert.parameters() if hasattr(parameter, "jac")]
        jac_to_grad(shared, self.aggregator, optimize_gramian_computation=self.way.sum_of_gramians)


def optimizer(config: Config, network: PaddedNetwork) -> torch.optim.AdamW:
    """PyTorch's AdamW as it comes, with the rates and decays of our side."""
    o = config.optimizer
    groups = []
    for part, rate in ((network.bert, o.lr), (network.heads, o.head_lr)):
        for decayed in (True, False):
            chosen = [p for p in part.parameters() if (p.ndim > 1) == decayed]
            groups.append({"params": chosen, "lr": rate, "weight_decay": o.weight_decay if decayed else 0.0})
    return torch.optim.AdamW([group for group in groups if group["params"]], betas=o.betas, eps=o.eps)


@torch.inference_mode()
def predictions(network: PaddedNetwork, examples: Examples, batch_size: int, *, bf16: bool = False) -> Tensor:
    """Probabilities [n, K] of the classes (of no and yes) or scores [n], in the order of the file, as loops do."""
    found = []
    for begin in range(0, len(examples), batch_size):
        batch = examples.batch(range(begin, min(begin + batch_size, len(examples))))
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            raw = network.output(batch.task, *(network.vectors(one) for one in texts(batch))).float()
        kind = examples.task.kind
        if kind == "binary":
            yes = torch.sigmoid(raw)
            found.append(torch.stack([1 - yes, yes], dim=1))
        else:
            found.append(torch.softmax(raw, 1) if kind == "class" else 5 * torch.sigmoid(raw))
    return torch.cat(found)


def sentence_transformer(encoder: str) -> "SentenceTransformer":  # noqa: F821
    """The same encoder as sentence-transformers use it, with [CLS] for the sentence."""
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415  (slow to import, needed once)
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer  # noqa: PLC0415

    transformer = Transformer(str(find(encoder)))
    pooling = Pooling(transformer.get_embedding_dimension(), "cls")
    return SentenceTransformer(modules=[transformer, pooling], device="cpu")
