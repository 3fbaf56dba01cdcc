"""What all families of encoders share: the pass over packed tokens, its inputs, and the names of weights elsewhere."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bertram.data.packing import Packed, pack
from bertram.model.attention import attend
from bertram.model.dropout import NO_DROPOUT, Dropout
from bertram.model.linear import Linear, Precision
from bertram.model.task_rows import TaskRows


@dataclass(frozen=True)
class EncoderConfig:
    """The shape of an encoder, with what its pretraining fixed.

    Attributes:
        vocabulary: rows of the word-embedding table.
        hidden: width H of the hidden states.
        layers: number of layers.
        heads: attention heads of each layer.
        intermediate: width of the feed-forward part.
        max_tokens: longest sequence, special tokens included.
        segments: rows of the segment-embedding table; 0 if the family has none.
        hidden_dropout: dropout rate on embeddings and on the output of each sub-layer.
        attention_dropout: dropout rate of the attention probabilities.
        norm_eps: epsilon of the norms.
    """

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

    @property
    def model_type(self) -> str:
        """The family's name in config.json of the Hugging Face layout."""
        return "bert"

    @property
    def first_position(self) -> int:
        """Row of the position table that a sequence begins with."""
        return 0

    @property
    def embedding_width(self) -> int:
        """Width E of the embeddings."""
        return self.hidden


@dataclass(frozen=True)
class PaddedPositionsConfig(EncoderConfig):
    """The shape of an encoder whose positions begin after the id of the padding token.

    Attributes:
        padding_id: id of the padding token.
    """

    padding_id: int = 1

    @property
    def first_position(self) -> int:
        """Row of the position table that a sequence begins with."""
        return self.padding_id + 1


class WordRows:
    """The distinct word-embedding rows of a step, gathered once, so that only these are differentiated.

    Args:
        table: [vocabulary, E], the word embeddings.
        token_ids: all token ids of the step.
    """

    def __init__(self, table: Tensor, token_ids: Tensor) -> None:
        self.ids = torch.unique(token_ids)
        self.rows = table.detach()[self.ids].requires_grad_()

    def __call__(self, token_ids: Tensor, tasks: TaskRows | None = None) -> Tensor:
        """The embeddings [N, E] of token ids that are among the step's."""
        return embedding(torch.searchsorted(self.ids, token_ids), self.rows, tasks)

    def sparse(self, grad: Tensor, vocabulary: int) -> Tensor:
        """The rows' gradient as a sparse gradient of the whole table."""
        size = (vocabulary, grad.shape[1])
        return torch.sparse_coo_tensor(self.ids[None], grad, size, is_coalesced=True, check_invariants=False)


def embedding(index: Tensor, table: Tensor, tasks: TaskRows | None = None) -> Tensor:
    """Rows of a table.

    Args:
        index: rows to take, [...].
        table: [rows, E].
        tasks: tasks of the tokens, where each task's gradient is wanted.
    """
    return F.embedding(index, table) if tasks is None else tasks.embedding(index, table)


class TokenLayout(ABC):
    """The tokens of one pass: [N] packed ones in training and prediction, [n, L] padded ones in an exported graph.

    Attributes:
        token_ids: token ids, [N] or [n, L].
        segments: number of the text that a token belongs to, of the same shape.
        positions: place of each token in its sequence, [N] or [L].
        dropout: masks of the pass.
        tasks: tasks of the rows, where each task's gradient is wanted.
    """

    token_ids: Tensor
    segments: Tensor
    positions: Tensor
    dropout: Dropout
    tasks: TaskRows | None = None

    @abstractmethod
    def places(self) -> Tensor:
        """0, 1, … up to the end of the longest sequence, [L]."""

    @abstractmethod
    def first_tokens(self, x: Tensor) -> Tensor:
        """The rows of the first token of each sequence."""

    @abstractmethod
    def attend(self, query: Tensor, key_value: Tensor, heads: int, bias: Tensor | None = None) -> Tensor:
        """Attention within each sequence; see `bertram.model.attention.attend`."""


class PackedLayout(TokenLayout):
    """Packed tokens.

    Args:
        batch: S sequences with N tokens.
        dropout: masks of the pass.
        tasks: tasks of the rows, where each task's gradient is wanted.
    """

    def __init__(self, batch: Packed, dropout: Dropout, tasks: TaskRows | None = None) -> None:
        self.batch, self.dropout, self.tasks = batch, dropout, tasks
        self.token_ids, self.segments, self.positions = batch.token_ids, batch.segments, batch.positions

    def places(self) -> Tensor:
        """0, 1, … up to the end of the longest sequence, [L]."""
        return torch.arange(self.batch.groups[-1].length, device=self.token_ids.device)

    def first_tokens(self, x: Tensor) -> Tensor:
        """The rows of the first token of each packed sequence, [S, H]."""
        return x[self.batch.starts]

    def attend(self, query: Tensor, key_value: Tensor, heads: int, bias: Tensor | None = None) -> Tensor:
        """Attention within each sequence, group by group."""
        tasks = None if self.tasks is None else self.tasks.sequence_tasks
        return attend(query, key_value, self.batch, heads, self.dropout, bias, tasks)


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


class Encoder(nn.Module, ABC):
    """An encoder of any family.

    Args:
        config: shape of the encoder.
        pooler: True for a pretrained pooler.

    Attributes:
        word_embeddings: [vocabulary, E] table of the word embeddings.
        layers: `EncoderLayer`s, the first one first.
        pooler: dense layer of the pretrained pooler, or None.
    """

    model_types: ClassVar[tuple[str, ...]]  # names in config.json
    config_class: ClassVar[type[EncoderConfig]] = EncoderConfig
    config_keys: ClassVar[Mapping[str, str]]  # field of the configuration: key of config.json
    fixed_values: ClassVar[Mapping[str, Any]]  # config.json besides the fields
    activation_key: ClassVar[str] = "hidden_act"
    prefix: ClassVar[str]  # of the weights' keys in a file that holds heads, too
    ignored_keys: ClassVar[tuple[str, ...]]  # begins of keys that are no weights of the encoder
    embedding_keys: ClassVar[Mapping[str, Sequence[str]]]  # our parameter -> Hugging Face keys; several are stacked
    layer_keys: ClassVar[Mapping[str, Sequence[str]]]
    layer_prefix: ClassVar[str] = "encoder.layer"
    pooler_keys: ClassVar[Mapping[str, Sequence[str]]] = {}

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
    def faults(cls, values: Mapping[str, Any]) -> Iterator[str]:
        """Reasons why the encoder of a config.json cannot be read."""
        if values.get(cls.activation_key, "gelu") != "gelu":
            yield f"{cls.activation_key} is {values[cls.activation_key]!r}, gelu is supported"
        if values.get("position_embedding_type", "absolute") != "absolute":
            yield f"position_embedding_type is {values['position_embedding_type']!r}, absolute is supported"
        if values.get("is_decoder"):
            yield "is_decoder is true, encoders are supported"
        key_of = cls.config_keys
        required = ("vocabulary", "hidden", "layers", "heads", "intermediate")
        for key in (key_of[field] for field in required):
            if not isinstance(values.get(key), int) or values[key] < 1:
                yield f"{key} is missing or not a positive number"
        for key in (key_of[field] for field in ("max_tokens", "segments") if field in key_of):
            if not isinstance(values.get(key, 1), int) or values.get(key, 1) < 1:
                yield f"{key} is not a positive number"
        padding = values.get(key_of.get("padding_id", ""), 1)
        if not isinstance(padding, int) or padding < 0:
            yield f"{key_of['padding_id']} is not a number from 0 on"
        for key in (key_of[f] for f in ("hidden_dropout", "attention_dropout", "norm_eps") if f in key_of):
            if not isinstance(values.get(key, 0.1), int | float) or not 0 <= values.get(key, 0.1) < 1:
                yield f"{key} is not a number from 0 to 1"
        positions = values.get(key_of["max_tokens"])
        after_padding = issubclass(cls.config_class, PaddedPositionsConfig) and isinstance(padding, int)
        if after_padding and positions in range(1, padding + 2):
            yield f"{key_of['max_tokens']} {positions} leaves no position for a token"
        hidden, heads = values.get(key_of["hidden"]), values.get(key_of["heads"])
        if isinstance(hidden, int) and isinstance(heads, int) and heads > 0 and hidden % heads:
            yield f"{key_of['hidden']} {hidden} cannot be divided by {heads} heads"

    @classmethod
    def read_config(cls, values: Mapping[str, Any]) -> EncoderConfig:
        """The shape that a config.json without faults describes."""
        positions = cls.config_keys["max_tokens"]
        config = cls.config_class(**{field: values[key] for field, key in cls.config_keys.items() if key in values})
        return replace(config, max_tokens=values.get(positions, config.max_tokens) - config.first_position)

    @classmethod
    def config_values(cls, config: EncoderConfig) -> dict[str, Any]:
        """config.json of the Hugging Face layout."""
        values = {cls.config_keys[field.name]: getattr(config, field.name) for field in fields(config)
                  if field.name in cls.config_keys}  # fmt: skip
        values[cls.config_keys["max_tokens"]] = config.max_tokens + config.first_position
        return {"model_type": config.model_type, **cls.fixed_values, **values}

    def hugging_face_keys(self) -> dict[str, list[str]]:
        """For each of our parameters, the Hugging Face keys that are stacked to make it."""
        keys = {name: list(hf_keys) for name, hf_keys in self.embedding_keys.items()}
        if self.pooler is not None:
            keys |= {name: list(hf_keys) for name, hf_keys in self.pooler_keys.items()}
        for number in range(len(self.layers)):
            for own_name, hf_keys in self.layer_keys.items():
                for part in ("weight", "bias"):
                    name = f"layers.{number}.{own_name}.{part}"
                    keys[name] = [f"{self.layer_prefix}.{number}.{key}.{part}" for key in hf_keys]
        return keys

    def hugging_face_state(self) -> dict[str, Tensor]:
        """The weights under the Hugging Face keys, keys and values taken apart again."""
        state = {}
        parameters = dict(self.named_parameters())
        for name, keys in self.hugging_face_keys().items():
            for key, part in zip(keys, parameters[name].detach().chunk(len(keys)), strict=True):
                state[key] = part.contiguous()
        return state

    @classmethod
    def unfused(cls, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The weights of a file with those apart that `hugging_face_keys` names apart."""
        return dict(state)

    @classmethod
    def plain_key(cls, key: str) -> str:
        """A key of a file without the family's prefix, and under its present name."""
        key = key.removeprefix(cls.prefix)
        return key.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")

    @classmethod
    def has_pooler(cls, keys: Iterable[str]) -> bool:
        """Whether the keys of a file, as `plain_key` gives them, hold a pooler."""
        pooler_keys = {key for hf_keys in cls.pooler_keys.values() for key in hf_keys}
        return not pooler_keys.isdisjoint(keys)

    @classmethod
    def new(cls, config: EncoderConfig, *, pooler: bool = True) -> Self:
        """An encoder without weights yet."""
        return cls(config, pooler=pooler)
