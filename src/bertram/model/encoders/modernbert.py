"""ModernBERT (Warner et al., 2024) and Ettin (Weller et al., 2025), its encoders: norms before, rotary positions.

Attention reaches over the whole sequence in every third layer, and over a window of tokens in the others. The
feed-forward part is gated (GeGLU, Shazeer, 2020); there are no segments and no pooler.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bertram.model.encoders.base import Encoder, EncoderLayer
from bertram.model.encoders.config import EncoderConfig
from bertram.model.encoders.layout import TokenLayout
from bertram.model.encoders.word_rows import WordRows
from bertram.model.linear import Linear
from bertram.model.norm import LayerNorm

BLOCKED = -1e9  # added to the scores outside a window; finite, see `bertram.model.attention.attend`
FULL, LOCAL = "full_attention", "sliding_attention"
FUSED = "attn.Wqkv.weight"  # one Hugging Face weight that holds the parts below, in this order
PARTS = ("query", "key", "value")


@dataclass(frozen=True)
class ModernBertConfig(EncoderConfig):
    """The shape of a ModernBERT.

    Attributes:
        global_every: layers from one with attention over the whole sequence to the next.
        window: width of the local attention, in tokens.
        global_theta: base of the rotary angles in layers with attention over the whole sequence.
        local_theta: base of the rotary angles in the other layers.
        padding_id: id of the padding token.
        model_type: name of the family in config.json.
    """

    vocabulary: int = 50368
    hidden: int = 768
    layers: int = 22
    intermediate: int = 1152
    max_tokens: int = 8192
    segments: int = 0
    hidden_dropout: float = 0.0
    attention_dropout: float = 0.0
    norm_eps: float = 1e-5
    global_every: int = 3
    window: int = 128
    global_theta: float = 160_000.0
    local_theta: float = 10_000.0
    padding_id: int = 50283
    model_type: str = "modernbert"


class ModernBertLayer(EncoderLayer):
    """Normalized attention and normalized gated feed-forward, each added to its input.

    Dropout, of which none was pretrained with, is drawn for the output of attention and inside the feed-forward part.
    """

    def __init__(self, config: ModernBertConfig, number: int) -> None:
        super().__init__()
        hidden, self.heads = config.hidden, config.heads
        whole = number % config.global_every == 0
        self.theta = config.global_theta if whole else config.local_theta
        self.window = None if whole else config.window
        self.attention_norm = _norm(config) if number else None
        self.query = Linear(hidden, hidden, bias=False)
        self.key_value = Linear(hidden, 2 * hidden, bias=False)  # keys and values in one product
        self.out_proj = Linear(hidden, hidden, bias=False)
        self.feed_forward_norm = _norm(config)
        self.up = Linear(hidden, 2 * config.intermediate, bias=False)  # input and gate in one product
        self.down = Linear(config.intermediate, hidden, bias=False)

    def forward(self, x: Tensor, layout: TokenLayout, bias: Tensor | None, *, first_only: bool = False) -> Tensor:
        """[..., H] to [..., H], or to [S, H] where only the first token of each sequence is wanted."""
        tasks = layout.tasks
        normalized = x if self.attention_norm is None else self.attention_norm(x, tasks)
        key, value = self.key_value(normalized, tasks).chunk(2, dim=-1)
        angles = _angles(layout.positions, x.shape[-1] // self.heads, self.theta)
        key_value = torch.cat([self._rotated(key, angles), value], dim=-1)
        if first_only:  # at position 0, where the rotation is none
            x, query = layout.first_tokens(x), self.query(layout.first_tokens(normalized), tasks)
        else:
            query = self._rotated(self.query(normalized, tasks), angles)
        attended = layout.attend(query, key_value, self.heads, bias)
        x = x + layout.dropout.hidden(self.out_proj(attended, tasks))
        value, gate = self.up(self.feed_forward_norm(x, tasks), tasks).chunk(2, dim=-1)
        return x + self.down(layout.dropout.hidden(F.gelu(value) * gate), tasks)  # type: ignore[no-any-return]

    def _rotated(self, x: Tensor, angles: Tensor) -> Tensor:
        """Rotary positions (Su et al., 2021, eq. 34), with the two halves of a head as pairs of coordinates.

        Args:
            x: [..., H].
            angles: [N or L, H / heads / 2].
        """
        a, b = torch.unflatten(x, -1, (self.heads, -1)).chunk(2, dim=-1)  # [..., heads, width / 2]
        cos, sin = angles.cos().unsqueeze(-2).to(x.dtype), angles.sin().unsqueeze(-2).to(x.dtype)
        return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1).flatten(-2)


class ModernBertEncoder(Encoder):
    """A ModernBERT, or an encoder of Ettin's."""

    model_types = ("modernbert",)
    config_class = ModernBertConfig
    config_keys: ClassVar[Mapping[str, str]] = {
        "vocabulary": "vocab_size",
        "hidden": "hidden_size",
        "layers": "num_hidden_layers",
        "heads": "num_attention_heads",
        "intermediate": "intermediate_size",
        "max_tokens": "max_position_embeddings",
        "hidden_dropout": "mlp_dropout",
        "attention_dropout": "attention_dropout",
        "norm_eps": "norm_eps",
        "global_every": "global_attn_every_n_layers",
        "window": "local_attention",
        "global_theta": "global_rope_theta",
        "local_theta": "local_rope_theta",
        "padding_id": "pad_token_id",
    }
    fixed_values: ClassVar[Mapping[str, Any]] = {
        "hidden_activation": "gelu", "norm_bias": False, "attention_bias": False, "mlp_bias": False,
    }  # fmt: skip
    activation_key = "hidden_activation"
    prefix = "model."
    ignored_keys = ("head.", "decoder.", "classifier.", "heads.")
    embedding_keys: ClassVar[Mapping[str, Sequence[str]]] = {
        "word_embeddings": ["embeddings.tok_embeddings.weight"],
        "embedding_norm.weight": ["embeddings.norm.weight"],
        "final_norm.weight": ["final_norm.weight"],
    }
    layer_keys: ClassVar[Mapping[str, Sequence[str]]] = {
        "attention_norm.weight": ["attn_norm.weight"],
        "query.weight": [f"{FUSED}: {PARTS[0]}"],
        "key_value.weight": [f"{FUSED}: {part}" for part in PARTS[1:]],
        "out_proj.weight": ["attn.Wo.weight"],
        "feed_forward_norm.weight": ["mlp_norm.weight"],
        "up.weight": ["mlp.Wi.weight"],
        "down.weight": ["mlp.Wo.weight"],
    }

    def __init__(self, config: EncoderConfig, *, pooler: bool = False) -> None:
        assert isinstance(config, ModernBertConfig)
        assert not pooler
        super().__init__()
        self.config, self.pooler = config, None
        self.window = config.window
        self.word_embeddings = nn.Parameter(torch.empty(config.vocabulary, config.hidden))
        self.embedding_norm = _norm(config)
        self.layers = nn.ModuleList(ModernBertLayer(config, number) for number in range(config.layers))
        self.final_norm = _norm(config)

    def embed(self, layout: TokenLayout, words: WordRows | None, offset: Tensor | None) -> Tensor:
        """Word embeddings, normalized."""
        return layout.dropout.hidden(self.embedding_norm(self.words_of(layout, words, offset), layout.tasks))

    def biases(self, layout: TokenLayout) -> list[Tensor | None]:
        """For layers with local attention, a bias [1, L, L] that blocks what lies outside their window."""
        places = layout.places()
        outside = (places[None, :] - places[:, None]).abs() > self.window // 2
        local = (BLOCKED * outside.to(self.word_embeddings.dtype))[None]
        return [None if layer.window is None else local for layer in self.layers]

    def finish(self, x: Tensor, layout: TokenLayout) -> Tensor:
        """The final norm."""
        return self.final_norm(x, layout.tasks)  # type: ignore[no-any-return]

    def top_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters that lie above the last layer."""
        yield from self.final_norm.parameters()

    @classmethod
    def faults(cls, values: Mapping[str, Any]) -> Iterator[str]:
        """Reasons why the encoder of a config.json cannot be read."""
        yield from super().faults(values)
        for key in ("norm_bias", "attention_bias", "mlp_bias"):
            if values.get(key):
                yield f"{key} is true, weights without biases are supported"
        for layers, rope in _rope(values).items():
            if rope.get("rope_type", "default") != "default":
                yield f"rope_parameters of {layers} are of type {rope['rope_type']!r}, default is supported"
        kinds = values.get("layer_types")
        if kinds is not None and kinds != _layer_types(len(kinds), _global_every(kinds)):
            yield "layer_types: attention over the whole sequence in the first and then every n-th layer is supported"

    @classmethod
    def read_config(cls, values: Mapping[str, Any]) -> EncoderConfig:
        """The shape that a config.json without faults describes; newer versions of the library nest some values."""
        flat = dict(values)
        if values.get("layer_types") is not None:
            flat["global_attn_every_n_layers"] = _global_every(values["layer_types"])
        for layers, key in ((FULL, "global_rope_theta"), (LOCAL, "local_rope_theta")):
            if "rope_theta" in _rope(values).get(layers, {}):
                flat[key] = _rope(values)[layers]["rope_theta"]
        return super().read_config(flat)

    def hugging_face_keys(self) -> dict[str, list[str]]:
        """For each of our parameters, the Hugging Face keys that are stacked to make it."""
        keys = {name: list(hf_keys) for name, hf_keys in self.embedding_keys.items()}
        for number in range(len(self.layers)):
            for own_name, hf_keys in self.layer_keys.items():
                if number or own_name != "attention_norm.weight":
                    keys[f"layers.{number}.{own_name}"] = [f"layers.{number}.{key}" for key in hf_keys]
        return keys

    def hugging_face_state(self) -> dict[str, Tensor]:
        """The weights under the Hugging Face keys."""
        state = super().hugging_face_state()
        for number in range(len(self.layers)):
            key = f"layers.{number}.{FUSED}"
            state[key] = torch.cat([state.pop(f"{key}: {part}") for part in PARTS])
        return state

    @classmethod
    def unfused(cls, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The weights of a file with queries, keys and values apart."""
        apart: dict[str, Tensor] = {}
        for key, weight in state.items():
            if key.endswith(FUSED):
                apart |= {f"{key}: {part}": rows for part, rows in zip(PARTS, weight.chunk(3), strict=False)}
            else:
                apart[key] = weight
        return apart


def _norm(config: ModernBertConfig) -> LayerNorm:
    return LayerNorm(config.hidden, eps=config.norm_eps, bias=False)


def _angles(positions: Tensor, width: int, theta: float) -> Tensor:
    """The rotary angles of each position, [N or L, width / 2]."""
    exponents = torch.arange(0, width, 2, dtype=torch.float32, device=positions.device) / width
    return positions[:, None].float() * (1.0 / theta**exponents)


def _rope(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The rotary parameters of each kind of layer, in the form of newer versions of the library."""
    rope = values.get("rope_parameters")
    return rope if isinstance(rope, dict) else {}


def _global_every(kinds: Sequence[str]) -> int:
    """Layers from the first one to the next with attention over the whole sequence."""
    return next((n for n, kind in enumerate(kinds) if n and kind == FULL), max(1, len(kinds)))


def _layer_types(count: int, every: int) -> list[str]:
    return [LOCAL if number % every else FULL for number in range(count)]
