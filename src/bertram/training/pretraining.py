"""The steps of further pretraining: a masked language model, its losses, its state for a checkpoint."""

import math
import time
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bertram.config import Config, PretrainConfig
from bertram.data.packing import pack
from bertram.errors import RunError, TrainingError
from bertram.model.dropout import NO_DROPOUT, Dropout
from bertram.model.encoders import Encoder
from bertram.model.masked_head import MaskedHead
from bertram.optimizer import AdamW, clip, global_norm, schedule
from bertram.runs import checkpoint
from bertram.training.generators import seeded_generator
from bertram.training.masking import Masking
from bertram.training.pretraining_texts import Texts
from bertram.training.sampler import Stream

SHOWN_STEPS = 50
REMEDY = "try a lower --lr or --precision fp32"

Say = Callable[[str], None]


class MaskedModel(nn.Module):
    """An encoder with the head of a masked language model."""

    def __init__(self, encoder: Encoder, head: MaskedHead) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head

    def losses(self, texts: Texts, masking: Masking, generator: np.random.Generator, dropout: Dropout) -> Tensor:
        """The cross-entropy of each chosen token, [n]; only these reach the decoder."""
        masked = [masking(ids, words, generator) for ids, words in zip(texts.token_ids, texts.words, strict=True)]
        device = self.encoder.word_embeddings.device
        packed = pack([sequence.token_ids for sequence in masked]).to(device)
        chosen = pack([sequence.chosen for sequence in masked]).token_ids.bool()
        original = pack(texts.token_ids).token_ids[chosen].to(device)
        hidden = self.encoder(packed, dropout)[chosen.to(device)]
        return F.cross_entropy(self.head(hidden, self.encoder.word_embeddings).float(), original, reduction="none")


class Pretraining:
    """The state of a further pretraining.

    Args:
        model: encoder and head.
        texts: texts that are trained on.
        held_out: texts that measure the loss.
        masking: settings of the masks.
        config: seed and precision.
        settings: settings of the training.
        facts: what the result comes from, for its file of facts.
    """

    def __init__(
        self,
        model: MaskedModel,
        texts: Texts,
        held_out: Texts,
        masking: Masking,
        config: Config,
        settings: PretrainConfig,
        facts: Mapping[str, Any],
    ) -> None:
        self.model, self.texts, self.held_out, self.masking = model, texts, held_out, masking
        self.config, self.settings, self.facts = config, settings, dict(facts)
        self.stream = Stream(len(texts), config.seed, "pretrain")
        self.total = settings.max_steps or settings.epochs * -(-len(texts) // settings.batch_size)
        self.step, self.seconds = 0, 0.0
        encoder = model.encoder
        self.generator = seeded_generator(config.seed, "pretrain dropout", encoder.word_embeddings.device)
        self.dropout = Dropout(self.generator, encoder.config.hidden_dropout, encoder.config.attention_dropout)
        self.parameters = {name: p for name, p in model.named_parameters() if not name.startswith("encoder.pooler")}
        decayed = [p for p in self.parameters.values() if p.ndim > 1]
        others = [p for p in self.parameters.values() if p.ndim == 1]
        self.optimizer = AdamW(
            [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}],
            lr=settings.lr,
        )

    def fit(self, checkpoints: Path, say: Say) -> None:
        """Train until the last step, with a checkpoint every few minutes."""
        begin = saved = time.monotonic()
        begin -= self.seconds
        recent: list[float] = []
        while self.step < self.total:
            recent.append(self._update())
            if self.step % SHOWN_STEPS == 0 or self.step == self.total:
                say(f"step {self.step:,} of {self.total:,}: loss {sum(recent) / len(recent):.4f}")
                recent.clear()
            self.seconds = time.monotonic() - begin
            if time.monotonic() - saved >= 60 * self.config.checkpoint.save_minutes:
                saved = time.monotonic()
                checkpoint.save(checkpoints, self.step, self.state_dict(), self.config.checkpoint.save_total_limit)

    def _update(self) -> float:
        """Make one step; returns the mean loss of its chosen tokens."""
        places = self.stream.draw(self.settings.batch_size)
        texts, masks = self.texts.at(places.tolist()), self._masks(self.step)
        loss = self.model.losses(texts, self.masking, masks, self.dropout).mean()
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(f"step {self.step + 1}: the loss is not finite; {REMEDY}")
        gradients = torch.autograd.grad(loss, list(self.parameters.values()), allow_unused=True)
        norm = global_norm(gradients)
        if not math.isfinite(norm):
            raise TrainingError(f"step {self.step + 1}: the gradient is not finite; {REMEDY}")
        clip(gradients, norm, self.settings.max_grad_norm)
        factor = schedule(self.step, self.total, self.settings.warmup_ratio, "linear")
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.lr * factor
        for parameter, gradient in zip(self.parameters.values(), gradients, strict=True):
            parameter.grad = gradient
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        return value

    def _masks(self, step: int) -> np.random.Generator:
        """The masks of a step, a function of seed and step, so that a resumed training has the same."""
        return np.random.default_rng([self.config.seed, zlib.crc32(b"masks"), step])

    @torch.no_grad()
    def held_out_loss(self) -> float:
        """The mean loss of chosen tokens of the held-out texts, always the same ones, without dropout."""
        generator = np.random.default_rng([self.config.seed, zlib.crc32(b"held out")])
        size, losses = self.settings.batch_size, []
        for begin in range(0, len(self.held_out), size):
            part = self.held_out.at(range(len(self.held_out))[begin : begin + size])
            losses.append(self.model.losses(part, self.masking, generator, NO_DROPOUT))
        return float(torch.cat(losses).mean())

    def state_dict(self) -> dict[str, Any]:
        """State for a checkpoint."""
        return {
            "step": self.step,
            "seconds": self.seconds,
            "position": self.stream.position,
            "device": self.generator.device.type,
            "model": dict(self.model.state_dict()),
            "optimizer": {name: dict(self.optimizer.state.get(p, {})) for name, p in self.parameters.items()},
            "dropout": self.generator.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state of a checkpoint.

        Raises:
            RunError: it was written on another device.
        """
        device, started_on = self.generator.device.type, state["device"]
        if started_on != device:
            raise RunError(
                f"this pretraining was started on {started_on} and its random state cannot be restored on {device}; "
                f"resume it on {started_on}"
            )
        self.step, self.seconds, self.stream.position = state["step"], state["seconds"], state["position"]
        self.model.load_state_dict(state["model"])
        for name, parameter in self.parameters.items():
            if saved := state["optimizer"][name]:
                self.optimizer.state[parameter] = {key: value.to(parameter.device) for key, value in saved.items()}
        self.generator.set_state(state["dropout"])
