"""BERT (Devlin et al., 2019) on packed tokens: no linear layer ever sees padding."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bertram.data.packing import Packed, pack
from bertram.model.attention import attend
from bertram.model.dropout import NO_DROPOUT, Dropout
from bertram.model.linear import Linear, Precision


@dataclass(frozen=True)
class EncoderConfig:
    """The shape of a BERT, with what its pretraining fixed."""

    vocabulary: int = 30522
    hidden: int = 384
    layers: int = 6
    heads: int = 12
    intermediate: int = 1536
    max_tokens: int = 512
    segments: int = 2
    hidden_dropout: float = 0.1
    attention_dropout: float = 0.1
    norm_eps: float = 1e-12


class WordRows:
    """The distinct word-embedding rows of a step, gathered once, so that only these are differentiated.

    Args:
        table: [vocabulary, H], the word embeddings.
        token_ids: all token ids of the step.
    """

    def __init__(self, table: Tensor, token_ids: Tensor) -> None:
        self.ids = torch.unique(token_ids)
        self.rows = table.detach()[self.ids].requires_grad_()

    def __call__(self, token_ids: Tensor) -> Tensor:
        """The embeddings [N, H] of token ids that are among the step's."""
        return F.embedding(torch.searchsorted(self.ids, token_ids), self.rows)

    def sparse(self, grad: Tensor, vocabulary: int) -> Tensor:
        """The rows' gradient as a sparse gradient of the whole table."""
        size = (vocabulary, grad.shape[1])
        return torch.sparse_coo_tensor(self.ids[None], grad, size, is_coalesced=True, check_invariants=False)


class Layer(nn.Module):
    """One transformer layer: attention and feed-forward, each added to its input and normalized."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        hidden, self.heads = config.hidden, config.heads
        self.query = Linear(hidden, hidden)
        self.key_value = Linear(hidden, 2 * hidden)  # keys and values in one product
        self.mix = Linear(hidden, hidden)
        self.mix_norm = nn.LayerNorm(hidden, eps=config.norm_eps)
        self.up = Linear(hidden, config.intermediate)
        self.down = Linear(config.intermediate, hidden)
        self.norm = nn.LayerNorm(hidden, eps=config.norm_eps)

    def forward(self, x: Tensor, batch: Packed, dropout: Dropout, *, first_only: bool = False) -> Tensor:
        """[N, H] to [N, H], or to [S, H] where only the first token of each sequence is wanted."""
        asking = x[batch.first] if first_only else x
        mixed = attend(self.query(asking), self.key_value(x), batch, self.heads, dropout)
        x = self.mix_norm(asking + dropout.hidden(self.mix(mixed)))
        return self.norm(x + dropout.hidden(self.down(F.gelu(self.up(x)))))  # type: ignore[no-any-return]


class Encoder(nn.Module):
    """A BERT encoder of any depth and width.

    Args:
        config: its shape.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.words = nn.Parameter(torch.empty(config.vocabulary, config.hidden))
        self.positions = nn.Parameter(torch.empty(config.max_tokens, config.hidden))
        self.segments = nn.Parameter(torch.empty(config.segments, config.hidden))
        self.norm = nn.LayerNorm(config.hidden, eps=config.norm_eps)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.pooler = Linear(config.hidden, config.hidden)

    def forward(
        self,
        batch: Packed,
        dropout: Dropout = NO_DROPOUT,
        *,
        words: WordRows | None = None,
        offset: Tensor | None = None,
        first_only: bool = False,
    ) -> Tensor:
        """The last hidden states.

        Args:
            batch: S sequences with N tokens.
            dropout: its masks; none by default.
            words: where word embeddings come from; default: the table.
            offset: [N, H] in fp32, added to the word embeddings (SMART).
            first_only: compute the last layer for the first token of each sequence only.

        Returns:
            [N, H] in packed order, or [S, H] in packed order with `first_only`.
        """
        x = self._embed(batch, dropout, words, offset)
        last = len(self.layers) - 1
        for number, layer in enumerate(self.layers):
            x = layer(x, batch, dropout, first_only=first_only and number == last)
        return x

    def _embed(self, batch: Packed, dropout: Dropout, words: WordRows | None, offset: Tensor | None) -> Tensor:
        x = F.embedding(batch.token_ids, self.words) if words is None else words(batch.token_ids)
        if offset is not None:
            x = x + offset
        x = x + F.embedding(batch.positions, self.positions) + F.embedding(batch.segments, self.segments)
        return dropout.hidden(self.norm(x))

    def layer_outputs(self, batch: Packed) -> list[Tensor]:
        """The hidden states after each layer, first layer first, without dropout: each [N, H] in packed order."""
        outputs = [self._embed(batch, NO_DROPOUT, None, None)]
        for layer in self.layers:
            outputs.append(layer(outputs[-1], batch, NO_DROPOUT))
        return outputs[1:]

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
        batch = pack(token_ids, segments).to(self.words.device)
        packed = self(batch).split(batch.lengths.tolist())
        return [packed[rank] for rank in batch.rank.tolist()]

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
