"""The peers' side of the comparison: the same mathematics with transformers, smart-pytorch and torchjd.

Each batch is padded to its longest text and each text of a pair is a batch of its own; attention is PyTorch's fused
kernel, the optimizer `torch.optim.AdamW`, bf16 `torch.autocast`. Weights, heads, sentences, losses, rates and dropout
are those of BERTram's side.
"""

import copy
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from smart_pytorch import SMARTLoss, kl_loss, sym_kl_loss
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torchjd.aggregation import PCGrad
from torchjd.autojac import jac_to_grad, mtl_backward
from transformers import BertModel
from transformers.utils import logging

from benchmarks.common.workload import Losses
from bertram.config import Config
from bertram.data.examples import Batch, Examples, Sequences
from bertram.model.heads import Similarity
from bertram.model.multitask import Multitask
from bertram.model.pretrained import find

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # transformers' own
logging.disable_progress_bar()  # type: ignore[no-untyped-call]

SMART_WEIGHT = 0.02  # as in the package's own example


@dataclass(frozen=True)
class TorchjdOptions:
    """torchjd's documented choices.

    Attributes:
        chunk_size: number of tasks differentiated at once; None: all tasks by vmap.
        sum_of_gramians: sum the Gramians of the parameters, which is documented to save memory.
    """

    chunk_size: int | None = None
    sum_of_gramians: bool = False

    def __str__(self) -> str:
        """The choices as records state them."""
        at_once = "all tasks at once" if self.chunk_size is None else "one task after the other"
        return f"{at_once}{', sum of Gramians' if self.sum_of_gramians else ''}"


TORCHJD_OPTIONS = [TorchjdOptions(size, summed) for size, summed in itertools.product((None, 1), (False, True))]
FIRST_OPTIONS, LEAST_MEMORY_OPTIONS = TORCHJD_OPTIONS[0], TORCHJD_OPTIONS[-1]


@dataclass(frozen=True)
class Output:
    """Loss and prediction from the raw outputs of one task.

    Attributes:
        loss: mean loss from raw outputs and labels.
        prediction: probabilities [n, K] of the classes (of no and yes), or scores [n].
    """

    loss: Callable[[Tensor, Tensor], Tensor]
    prediction: Callable[[Tensor], Tensor]


def _class_probabilities(raw: Tensor) -> Tensor:
    return torch.softmax(raw, 1)


def _binary_loss(raw: Tensor, labels: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(raw, labels.float())


def _binary_probabilities(raw: Tensor) -> Tensor:
    yes = torch.sigmoid(raw)
    return torch.stack([1 - yes, yes], dim=1)


def _score(raw: Tensor) -> Tensor:
    return 5 * torch.sigmoid(raw)


def _score_loss(raw: Tensor, labels: Tensor) -> Tensor:
    return F.mse_loss(_score(raw), labels)


OUTPUTS = {
    "sst": Output(F.cross_entropy, _class_probabilities),
    "quora": Output(_binary_loss, _binary_probabilities),
    "sts": Output(_score_loss, _score),
}


class CosineHead(nn.Module):
    """A cosine with a learned scale and offset."""

    def __init__(self, scale: float, offset: float) -> None:
        super().__init__()
        self.scale, self.offset = nn.Parameter(torch.tensor(scale)), nn.Parameter(torch.tensor(offset))

    def forward(self, u: Tensor, v: Tensor) -> Tensor:
        """Raw outputs [n] from the two vectors [n, H] of each pair."""
        return self.scale * F.cosine_similarity(u, v) + self.offset


class PaddedNetwork(nn.Module):
    """BertModel and a head for each task.

    Args:
        directory: directory of the pretrained weights.
        bertram_network: network whose heads are copied.
        dropout: dropout rate before the heads.
    """

    def __init__(self, directory: Path, bertram_network: Multitask, dropout: float) -> None:
        super().__init__()
        self.bert = BertModel.from_pretrained(directory, add_pooling_layer=False, attn_implementation="sdpa")
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.ModuleDict({name: _copied(head.compare) for name, head in bertram_network.task_heads()})

    def vectors(self, sequences: Sequences) -> Tensor:
        """[CLS] vectors of the sequences, [n, H]."""
        hidden: Tensor = self.bert(**padded(sequences)).last_hidden_state
        return hidden[:, 0]

    def output(self, task: str, *vectors: Tensor) -> Tensor:
        """Raw outputs [n, K] or [n] of a task, from the vectors [n, H] of each text."""
        raw: Tensor = self.heads[task](*(self.dropout(text) for text in vectors))
        return raw if raw.ndim == 1 else raw.squeeze(1)


def _copied(head: nn.Module) -> nn.Module:
    if isinstance(head, Similarity):
        return CosineHead(float(head.scale.detach()), float(head.offset.detach()))
    return copy.deepcopy(head)


def padded(sequences: Sequences, padding_id: int = 0) -> dict[str, Tensor]:
    """Token ids, segments and mask, padded to the longest."""
    tokens = [torch.tensor(tokens) for tokens, _ in sequences]
    return {
        "input_ids": pad_sequence(tokens, batch_first=True, padding_value=padding_id),
        "token_type_ids": pad_sequence([torch.tensor(segments) for _, segments in sequences], batch_first=True),
        "attention_mask": pad_sequence([torch.ones(len(t), dtype=torch.long) for t, _ in sequences], batch_first=True),
    }


def texts_of(batch: Batch) -> list[Sequences]:
    """The sequences of each text of an example: two lists for pairs encoded text by text, else one."""
    return [batch.sequences[begin : begin + len(batch)] for begin in range(0, len(batch.sequences), len(batch))]


@dataclass
class ForwardPass:
    """The result of the forward pass of one task.

    Attributes:
        loss: loss without penalty.
        total: loss with penalty.
        features: outputs of the encoder, where torchjd separates heads from encoder.
    """

    loss: Tensor
    total: Tensor
    features: list[Tensor] = field(default_factory=list)


class PeerStep:
    """The training step with the peers' libraries.

    Args:
        config: configuration of BERTram's side.
        bertram_network: network whose heads are copied, before its first step.
        torchjd_options: choices for surgery.
    """

    def __init__(
        self, config: Config, bertram_network: Multitask, torchjd_options: TorchjdOptions = FIRST_OPTIONS
    ) -> None:
        self.network = PaddedNetwork(find(config.encoder), bertram_network, config.model.head_dropout).train()
        self.smart_tasks = config.chosen("smart")
        self.surgery = config.surgery.method == "pcgrad"
        self.bf16 = config.precision == "bf16"
        self.optimizer = new_optimizer(config, self.network)
        self.aggregator, self.torchjd_options = PCGrad(), torchjd_options

    def step(self, batches: Sequence[Batch]) -> Losses:
        """One update; gives the loss of each task before it."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            passes = {batch.task: self._forward(batch) for batch in batches}
        if self.surgery:
            self._backward_with_surgery(list(passes.values()))
        else:
            torch.autograd.backward([result.total for result in passes.values()])
        self.optimizer.step()
        self.optimizer.zero_grad()
        return {task: float(result.loss.detach()) for task, result in passes.items()}

    @contextmanager
    def without_dropout(self) -> Iterator[None]:
        """Dropout switched off, so that losses can be compared."""
        self.network.eval()
        yield
        self.network.train()

    def choose_fastest_options(self, batches: Sequence[Batch]) -> None:
        """Time each of torchjd's documented choices once, after a warm-up step, and keep the fastest."""
        seconds = {}
        for self.torchjd_options in TORCHJD_OPTIONS:
            self.step(batches)
            begin = time.perf_counter()
            self.step(batches)
            seconds[self.torchjd_options] = time.perf_counter() - begin
        self.torchjd_options = min(seconds, key=lambda choice: seconds[choice])

    def _forward(self, batch: Batch) -> ForwardPass:
        if batch.task in self.smart_tasks:
            return self._forward_with_smart(batch)
        features = [self.network.vectors(text) for text in texts_of(batch)]
        loss = _loss(batch, self.network.output(batch.task, *features))
        return ForwardPass(loss, loss, features)

    def _forward_with_smart(self, batch: Batch) -> ForwardPass:
        """smart-pytorch's penalty by its example, but on the word embeddings, so that positions are added once."""
        inputs = padded(batch.sequences)
        embedded = self.network.bert.embeddings.word_embeddings(inputs.pop("input_ids"))
        features: list[Tensor] = []

        def evaluate(embedded: Tensor) -> Tensor:
            features.append(self.network.bert(inputs_embeds=embedded, **inputs).last_hidden_state[:, 0])
            return self.network.output(batch.task, features[-1])

        clean = evaluate(embedded)
        loss = _loss(batch, clean)
        penalty = SMARTLoss(eval_fn=evaluate, loss_fn=kl_loss, loss_last_fn=sym_kl_loss)(embedded, clean)
        return ForwardPass(loss, loss + SMART_WEIGHT * penalty, [features[0], features[-1]])

    def _backward_with_surgery(self, passes: list[ForwardPass]) -> None:
        features = [feature for result in passes for feature in result.features]
        chosen = self.torchjd_options
        mtl_backward([result.total for result in passes], features=features, parallel_chunk_size=chosen.chunk_size)
        shared = [parameter for parameter in self.network.bert.parameters() if hasattr(parameter, "jac")]
        jac_to_grad(shared, self.aggregator, optimize_gramian_computation=chosen.sum_of_gramians)


def _loss(batch: Batch, raw: Tensor) -> Tensor:
    assert batch.labels is not None
    return OUTPUTS[batch.task].loss(raw, batch.labels)


def new_optimizer(config: Config, network: PaddedNetwork) -> torch.optim.AdamW:
    """PyTorch's AdamW as it comes, with the rates and decays of BERTram's side."""
    o = config.optimizer
    groups = []
    for part, rate in ((network.bert, o.lr), (network.heads, o.head_lr)):
        for decayed in (True, False):
            parameters = [p for p in part.parameters() if (p.ndim > 1) == decayed]
            groups.append({"params": parameters, "lr": rate, "weight_decay": o.weight_decay if decayed else 0.0})
    return torch.optim.AdamW([group for group in groups if group["params"]], betas=o.betas, eps=o.eps)


@torch.inference_mode()
def predictions(network: PaddedNetwork, examples: Examples, batch_size: int, *, bf16: bool = False) -> Tensor:
    """Probabilities [n, K] of the classes (of no and yes) or scores [n], in the order of the file."""
    parts = []
    for begin in range(0, len(examples), batch_size):
        batch = examples.batch(range(begin, min(begin + batch_size, len(examples))))
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            raw = network.output(batch.task, *(network.vectors(text) for text in texts_of(batch))).float()
        parts.append(OUTPUTS[batch.task].prediction(raw))
    return torch.cat(parts)


def sentence_transformer(encoder: str) -> "SentenceTransformer":
    """The same encoder as sentence-transformers use it, with [CLS] for the sentence."""
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415  (slow to import, needed once)
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer  # noqa: PLC0415

    transformer = Transformer(str(find(encoder)))
    pooling = Pooling(transformer.get_embedding_dimension(), "cls")
    return SentenceTransformer(modules=[transformer, pooling], device="cpu")
