"""What all families of encoders share: the pass over packed tokens, and its inputs."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from bertram.data.packing import Packed, pack
from bertram.model.dropout import NO_DROPOUT, Dropout
from bertram.model.encoders.config import EncoderConfig
from bertram.model.encoders.hugging_face import HuggingFaceNames
from bertram.model.encoders.layout import PackedLayout, TokenLayout
from bertram.model.encoders.word_rows import WordRows, embedding
from bertram.model.linear import Linear, Precision
from bertram.model.task_rows import TaskRows


class EncoderLayer(nn.Module, ABC):
    """A layer of any family."""

    @abstractmethod
    def forward(self, x: Tensor, layout: TokenLayout, bias: Tensor | None, *, first_only: bool = False) -> Tensor:
        """Hidden states of all tokens to those of the next layer.

        Args:
            x: [..., H].
            layout: tokens of the pass.
            bias: [heads or 1, L, L], or such a bias for each task, added to the attention scores.
            first_only: compute only the first token of each sequence.
        """


class Encoder(HuggingFaceNames, ABC):
    """An encoder of any family.

    Args:
        config: shape of the encoder.
        pooler: True for a pretrained pooler.

    Attributes:
        word_embeddings: [vocabulary, E] table of the word embeddings.
        layers: `EncoderLayer`s, the first one first.
        pooler: dense layer of the pretrained pooler, or None.
    """

    has_segments: ClassVar[bool] = False  # whether the segment embedding depends on a token's text

    config: EncoderConfig
    word_embeddings: nn.Parameter
    layers: nn.ModuleList
    pooler: Linear | None

    @abstractmethod
    def embed(self, layout: TokenLayout, words: WordRows | None, offset: Tensor | None) -> Tensor:
        """The hidden states before the first layer, [..., H].

        Args:
            layout: tokens of the pass.
            words: source of the word embeddings; None: the table.
            offset: [..., E] in fp32, added to the word embeddings (SMART).
        """

    def biases(self, layout: TokenLayout) -> list[Tensor | None]:  # noqa: ARG002 - for families without
        """Bias that each layer adds to its attention scores, [heads or 1, L, L], or one for each task."""
        return [None] * len(self.layers)

    def finish(self, x: Tensor, layout: TokenLayout) -> Tensor:  # noqa: ARG002 - for families without
        """Operations after the last layer."""
        return x

    def words_of(self, layout: TokenLayout, words: WordRows | None, offset: Tensor | None) -> Tensor:
        """Word embeddings with their offset, [..., E]."""
        ids, tasks = layout.token_ids, layout.tasks
        x = embedding(ids, self.word_embeddings, tasks) if words is None else words(ids, tasks)
        return x if offset is None else x + offset

    def forward(
        self,
        batch: Packed,
        dropout: Dropout = NO_DROPOUT,
        *,
        words: WordRows | None = None,
        tasks: TaskRows | None = None,
        offset: Tensor | None = None,
        first_only: bool = False,
    ) -> Tensor:
        """The last hidden states.

        Args:
            batch: S sequences with N tokens.
            dropout: dropout masks; none by default.
            words: source of word embeddings; default: the table.
            tasks: tasks of the rows, where each task's gradient is wanted.
            offset: [N, E] in fp32, added to the word embeddings (SMART).
            first_only: compute the last layer for the first token of each sequence only.

        Returns:
            [N, H] in packed order, or [S, H] in packed order with `first_only`.
        """
        return self.encode(PackedLayout(batch, dropout, tasks), words=words, offset=offset, first_only=first_only)

    def encode(
        self,
        layout: TokenLayout,
        *,
        words: WordRows | None = None,
        offset: Tensor | None = None,
        first_only: bool = False,
    ) -> Tensor:
        """The last hidden states of tokens in any layout; see `forward`."""
        x = self.embed(layout, words, offset)
        last = len(self.layers) - 1
        for number, (layer, bias) in enumerate(zip(self.layers, self.biases(layout), strict=True)):
            x = layer(x, layout, bias, first_only=first_only and number == last)
        return self.finish(x, layout)

    def layer_outputs(self, batch: Packed) -> list[Tensor]:
        """The hidden states after each layer, first layer first, without dropout: each [N, H] in packed order."""
        layout = PackedLayout(batch, NO_DROPOUT)
        outputs = [self.embed(layout, None, None)]
        for layer, bias in zip(self.layers, self.biases(layout), strict=True):
            outputs.append(layer(outputs[-1], layout, bias))
        return [*outputs[1:-1], self.finish(outputs[-1], layout)]

    @torch.no_grad()
    def hidden_states(
        self, token_ids: Sequence[Sequence[int]], segments: Sequence[Sequence[int]] | None = None
    ) -> list[Tensor]:
        """The last hidden states of sequences of any lengths, without dropout and without gradient.

        Args:
            token_ids: the sequences, special tokens included.
            segments: their segment ids; default: all 0.

        Returns:
            One [tokens, hidden] for each sequence, in the order given.

        Raises:
            ValueError: a sequence is empty or longer than the position table, or its segments are not as many.
        """
        if not token_ids:
            return []
        if segments is not None and list(map(len, segments)) != list(map(len, token_ids)):
            raise ValueError("segments: needs one segment id for each token of each sequence")
        for number, tokens in enumerate(token_ids):
            if not 1 <= len(tokens) <= self.config.max_tokens:
                raise ValueError(
                    f"sequence {number} has {len(tokens)} tokens; 1 to {self.config.max_tokens} are possible"
                )
        batch = pack(token_ids, segments).to(self.word_embeddings.device)
        packed = self(batch).split(batch.lengths.tolist())
        return [packed[place] for place in batch.inverse_order.tolist()]

    def set_precision(self, precision: Precision) -> None:
        """Compute the encoder's matrix products in fp32 or bf16."""
        for module in self.modules():
            if isinstance(module, Linear):
                module.precision = precision

    def initialize(self, generator: torch.Generator, std: float = 0.02) -> None:
        """Random weights as BERT's before pretraining."""
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if parameter.ndim == 2:
                    parameter.normal_(0.0, std, generator=generator)
                else:
                    parameter.fill_(1.0 if name.endswith("norm.weight") else 0.0)

    @property
    def reads_segments(self) -> bool:
        """Whether hidden states depend on the segments of the tokens."""
        return self.has_segments and self.config.segments > 1

    def top_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters that lie above the last layer."""
        if self.pooler is not None:
            yield from self.pooler.parameters()

    @classmethod
    def new(cls, config: EncoderConfig, *, pooler: bool = True) -> Self:
        """An encoder without weights yet."""
        return cls(config, pooler=pooler)
