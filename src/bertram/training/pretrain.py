"""Further pretraining: a masked language model on the training texts of tasks.

Dev and test files are not read. What comes out is an encoder in the Hugging Face layout, for ``--encoder``.
"""

import json
import math
import shutil
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bertram.config import Config, PretrainConfig
from bertram.data.packing import pack
from bertram.data.rows import Rows, file_facts, read_further, read_rows
from bertram.data.sources import DataSource, as_source
from bertram.data.splits import config_source
from bertram.data.tokenizer import Tokenizer, load_tokenizer
from bertram.errors import ConfigError, DataError, RunError, TrainingError, WeightsError
from bertram.model.dropout import NO_DROPOUT, Dropout
from bertram.model.encoders import Encoder
from bertram.model.linear import choose_precision
from bertram.model.masked_head import MaskedHead
from bertram.model.pretrained import find, read_encoder
from bertram.optimizer import AdamW, clip, global_norm, schedule
from bertram.runs import checkpoint
from bertram.runs.files import write_json
from bertram.runs.lock import run_lock
from bertram.runs.tensors import write_tensors
from bertram.runs.typed_json import read_object
from bertram.tasks import Task
from bertram.training.generators import seeded_generator
from bertram.training.masking import Masking
from bertram.training.process_state import own_process_state
from bertram.training.sampler import Stream
from bertram.training.setup import encoder_files
from bertram.training.train import choose_device

FACTS = "pretraining.json"
CHECKPOINTS = "checkpoint"
HELD_OUT, MOST_HELD_OUT = 0.02, 500  # share and number of the texts that measure the loss and are not trained on
SHOWN_STEPS = 50

Say = Callable[[str], None]


@dataclass(frozen=True)
class Texts:
    """Tokenized texts.

    Attributes:
        token_ids: token ids of each text, special tokens included.
        words: number of the word of each token, -1 for special tokens; without whole words, of the token.
    """

    token_ids: list[list[int]]
    words: list[list[int]]

    def at(self, places: Sequence[int]) -> "Texts":
        """The texts at these places."""
        return Texts([self.token_ids[place] for place in places], [self.words[place] for place in places])

    def __len__(self) -> int:
        return len(self.token_ids)


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


def pretrain(config: Config, settings: PretrainConfig, out: Path, *, resume: bool = False, say: Say = print) -> Path:
    """Train an encoder further on the training texts of tasks.

    Args:
        config: tasks, data, encoder, seed, threads, precision and device; other fields have no effect.
        settings: settings of the masked language model.
        out: directory to create.
        resume: continue in `out` from its newest valid checkpoint.
        say: shows a message.

    Returns:
        The directory of the encoder.

    Raises:
        ConfigError: texts or an encoder that cannot be used.
        RunError: the directory exists already, was begun with other settings or data, or cannot be written.
        TrainingError: a loss is not finite.
    """
    _check_directory(out, resume=resume)
    if (out / "config.json").is_file():
        texts, files = training_texts(config.tasks, config_source(config))
        _require_same(out, _facts(config, settings, files, len(texts)))
        say(f"{out}: this encoder is already finished")
        return out
    with own_process_state(config), run_lock(out):
        training = _begin(config, settings)
        _keep_facts(out, training.facts)
        newest = checkpoint.newest(out / CHECKPOINTS)
        if newest is not None:
            training.load_state_dict(newest[1])
            say(f"continue after step {training.step:,}")
        say(f"{len(training.texts):,} texts, {training.total:,} steps; held-out loss {training.held_out_loss():.4f}")
        training.fit(out / CHECKPOINTS, say)
        _finish(training, out, say)
    return out


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
            raise TrainingError(f"step {self.step + 1}: the loss is not finite; try a lower --lr or --precision fp32")
        gradients = torch.autograd.grad(loss, list(self.parameters.values()), allow_unused=True)
        clip(gradients, global_norm(gradients), self.settings.max_grad_norm)
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
            "model": dict(self.model.state_dict()),
            "optimizer": {name: dict(self.optimizer.state.get(p, {})) for name, p in self.parameters.items()},
            "dropout": self.generator.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        self.step, self.seconds, self.stream.position = state["step"], state["seconds"], state["position"]
        self.model.load_state_dict(state["model"])
        for name, parameter in self.parameters.items():
            if saved := state["optimizer"][name]:
                self.optimizer.state[parameter] = {key: value.to(parameter.device) for key, value in saved.items()}
        self.generator.set_state(state["dropout"])


def training_texts(tasks: Mapping[str, Task], data: str | DataSource) -> tuple[list[str], dict[str, Any]]:
    """The distinct training texts of some tasks, those of further files included, and the files that they come from.

    Raises:
        ConfigError: files that cannot be used; all faults are named.
    """
    source = as_source(data)
    faults: list[str] = []
    read: list[tuple[str, Rows]] = []
    for task in tasks.values():
        for place in ("train", *task.further):
            try:
                rows = (
                    read_rows(task, source, "train", labelled=False)
                    if place == "train"
                    else read_further(task, place, source, allow_rejects=True)
                )
            except DataError as error:
                faults.append(str(error))
            else:
                read.append((task.name, rows))
    if faults:
        raise ConfigError(faults)
    texts = dict.fromkeys(text for _, rows in read for row in rows.texts for text in row)
    return list(texts), {name: asdict(file) for name, file in file_facts(read).items()}


def _begin(config: Config, settings: PretrainConfig) -> Pretraining:
    """A pretraining before its first step."""
    directory = find(config.encoder)
    encoder, tokenizer = read_encoder(directory), load_tokenizer(directory)
    if tokenizer.mask_id is None:
        raise WeightsError(f"{directory}: its tokenizer has no mask token ([MASK] or <mask>)")
    limit = settings.max_length or encoder.config.max_tokens
    if limit > encoder.config.max_tokens:
        raise ConfigError([f"max_length: the encoder has {encoder.config.max_tokens} positions"])
    texts, files = training_texts(config.tasks, config_source(config))
    if len(texts) < 4:
        raise ConfigError([f"{len(texts)} training texts are too few to train on"])
    tokenized = tokenize(texts, tokenizer, limit, whole_words=settings.whole_word)
    order = np.random.default_rng([config.seed, zlib.crc32(b"held-out texts")]).permutation(len(tokenized))
    count = max(1, min(MOST_HELD_OUT, round(HELD_OUT * len(tokenized))))
    head = MaskedHead(encoder)
    head.initialize(seeded_generator(config.seed, "masked head"))
    had_head = head.read(directory)
    device = choose_device(config)
    model = MaskedModel(encoder, head).to(device)
    precision = choose_precision(config.precision, device)
    encoder.set_precision(precision)
    head.dense.precision = precision
    facts = {**_facts(config, settings, files, len(texts)), "new_head": not had_head}
    return Pretraining(
        model,
        tokenized.at(order[count:].tolist()),
        tokenized.at(order[:count].tolist()),
        Masking(settings.mask_probability, tokenizer.mask_id, tokenizer.vocab_size),
        config,
        settings,
        facts,
    )


def tokenize(texts: Sequence[str], tokenizer: Tokenizer, max_tokens: int, *, whole_words: bool) -> Texts:
    """The texts as sequences; texts without a token are left out.

    Args:
        texts: texts.
        tokenizer: tokenizer of the encoder.
        max_tokens: maximum sequence length; longer texts are truncated.
        whole_words: choose all tokens of a word together.
    """
    token_ids, word_numbers = [], []
    for ids, words in tokenizer.encode_with_words(texts):
        if ids:
            sequence, *_ = tokenizer.joined([ids], max_tokens)
            inside = len(sequence) - 2
            token_ids.append(sequence)
            word_numbers.append([-1, *(words[:inside] if whole_words else range(inside)), -1])
    return Texts(token_ids, word_numbers)


def _check_directory(out: Path, *, resume: bool) -> None:
    """Refuse a directory that exists already, or one in which there is nothing to continue."""
    started = (out / FACTS).is_file()
    if resume and not started:
        raise RunError(f"{out}: there is no pretraining to continue here; without --resume a new one begins")
    if not resume and started:
        raise RunError(f"{out}: exists already; continue it with --resume, or choose another --out")
    if not resume and out.exists() and any(not path.name.startswith(".") for path in out.iterdir()):
        raise RunError(f"{out}: exists already and is not empty; choose another --out")


def _facts(config: Config, settings: PretrainConfig, files: Mapping[str, Any], texts: int) -> dict[str, Any]:
    """What decides the result of a training."""
    return {
        "encoder": config.encoder,
        "encoder_files": encoder_files(config.encoder),
        "tasks": list(config.tasks),
        "data": dict(files),
        "texts": texts,
        "seed": config.seed,
        "settings": settings.model_dump(mode="json"),
    }


def _keep_facts(out: Path, facts: Mapping[str, Any]) -> None:
    """Note what a new training comes from, and refuse to continue from anything else."""
    if (out / FACTS).is_file():
        _require_same(out, facts)
    else:
        write_json(out / FACTS, facts)


def _require_same(out: Path, facts: Mapping[str, Any]) -> None:
    """Refuse to continue a training that was begun with other settings or data."""
    noted, current = read_object(out / FACTS), json.loads(json.dumps(facts))
    changed = [name for name in current if noted.get(name) != current[name]]
    if changed:
        raise RunError(f"{out}: was begun with other {', '.join(changed)} ({FACTS}); continue it with those")


def _finish(training: Pretraining, out: Path, say: Say) -> None:
    """Write the encoder; config.json comes last and makes it a finished one."""
    encoder, head = training.model.encoder, training.model.head
    loss = training.held_out_loss()
    prefix = type(encoder).prefix
    state = {f"{prefix}{key}": weight for key, weight in encoder.hugging_face_state().items()}
    write_tensors(out / "model.safetensors", state | head.hugging_face_state(), metadata={"format": "pt"})
    load_tokenizer(find(training.config.encoder)).save(out)
    facts = {
        "held_out_loss": loss,
        "steps": training.step,
        "seconds": round(training.seconds, 1),
        "threads": torch.get_num_threads(),
    }
    write_json(out / FACTS, {**training.facts, **facts})
    values = encoder.config_values(encoder.config) | {"dtype": "float32", "architectures": [head.layout.architecture]}
    write_json(out / "config.json", values)
    shutil.rmtree(out / CHECKPOINTS, ignore_errors=True)
    say(f"held-out loss {loss:.4f}; {training.seconds / 60:.1f} minutes; encoder: {out}")


def with_tasks(config: Config, names: Sequence[str]) -> Config:
    """The configuration with some of its tasks.

    Raises:
        ConfigError: a name is not that of a task.
    """
    unknown = [name for name in names if name not in config.tasks]
    if unknown:
        raise ConfigError([f"--tasks: no task {name!r}; choose from {', '.join(config.tasks)}" for name in unknown])
    return config.model_copy(update={"tasks": {name: config.tasks[name] for name in names}})
