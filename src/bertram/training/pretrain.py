"""Further pretraining: a masked language model on the training texts of tasks.

Dev and test files are not read. What comes out is an encoder in the Hugging Face layout, for ``--encoder``.
"""

import hashlib
import json
import shutil
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bertram.config import Config, PretrainConfig
from bertram.data.labels import with_labels
from bertram.data.splits import config_source
from bertram.data.tokenizer import load_tokenizer
from bertram.errors import ConfigError, RunError, WeightsError
from bertram.model.linear import Precision, choose_precision
from bertram.model.masked_head import MaskedHead
from bertram.model.pretrained import find, read_with_tokenizer
from bertram.runs import checkpoint
from bertram.runs.files import write_json
from bertram.runs.lock import run_lock
from bertram.runs.tensors import write_tensors
from bertram.runs.typed_json import read_object
from bertram.training.generators import seeded_generator
from bertram.training.masking import Masking
from bertram.training.precision import keep_precision, kept_precision
from bertram.training.pretraining import MaskedModel, Pretraining, Say
from bertram.training.pretraining_texts import tokenize, training_texts
from bertram.training.process_state import own_process_state
from bertram.training.setup import encoder_files
from bertram.training.train import choose_device

FACTS = "pretraining.json"
CHECKPOINTS = "checkpoint"
HELD_OUT, MOST_HELD_OUT = 0.02, 500  # share and number of the texts that measure the loss and are not trained on


def pretrain(
    config: Config,
    settings: PretrainConfig,
    out: Path,
    *,
    tasks: Sequence[str] | None = None,
    resume: bool = False,
    say: Say = print,
) -> Path:
    """Train an encoder further on the training texts of tasks.

    Dev rows that a training with this configuration would hold out are left out.

    Args:
        config: tasks, data, encoder, split, seed, threads, precision and device; other fields have no effect.
        settings: settings of the masked language model.
        out: directory to create.
        tasks: names of the tasks whose texts are trained on; None: all.
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
    names = list(config.tasks if tasks is None else tasks)
    texts, files = _texts(config, names)
    facts = _facts(config, settings, names, files, texts)
    if (out / "config.json").is_file():
        _require_same(out, facts)
        say(f"{out}: this encoder is already finished")
        return out
    with own_process_state(config), run_lock(out):
        precision = choose_precision(config.precision, choose_device(config), kept_precision(out / CHECKPOINTS))
        training = _begin(config, settings, precision, texts, facts)
        _keep_facts(out, training.facts)
        if config.precision == "auto":
            keep_precision(out / CHECKPOINTS, precision)
        newest = checkpoint.newest(out / CHECKPOINTS)
        if newest is not None:
            training.load_state_dict(newest[1])
            say(f"continue after step {training.step:,}")
        say(f"{len(training.texts):,} texts, {training.total:,} steps; held-out loss {training.held_out_loss():.4f}")
        training.fit(out / CHECKPOINTS, say)
        _finish(training, out, say)
    return out


def _texts(config: Config, names: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """The training texts of some tasks, and their files; all tasks together decide which dev rows are held out."""
    unknown = [name for name in names if name not in config.tasks]
    if unknown:
        raise ConfigError([f"--tasks: no task {name!r}; choose from {', '.join(config.tasks)}" for name in unknown])
    tasks = {name: config.tasks[name] for name in names}
    source = config_source(with_labels(config).config)
    return training_texts(tasks, source, allow_rejects=config.allow_rejects)


def _begin(
    config: Config, settings: PretrainConfig, precision: Precision, texts: Sequence[str], facts: Mapping[str, Any]
) -> Pretraining:
    """A pretraining before its first step."""
    directory = find(config.encoder)
    encoder, tokenizer = read_with_tokenizer(directory)
    if tokenizer.mask_id is None:
        raise WeightsError(f"{directory}: its tokenizer has no mask token ([MASK] or <mask>)")
    limit = settings.max_length or encoder.config.max_tokens
    if limit > encoder.config.max_tokens:
        raise ConfigError([f"max_length: the encoder has {encoder.config.max_tokens} positions"])
    if len(texts) < 4:
        raise ConfigError([f"{len(texts)} training texts are too few to train on"])
    tokenized = tokenize(texts, tokenizer, limit, whole_words=settings.whole_word)
    order = np.random.default_rng([config.seed, zlib.crc32(b"held-out texts")]).permutation(len(tokenized))
    count = max(1, min(MOST_HELD_OUT, round(HELD_OUT * len(tokenized))))
    head = MaskedHead(encoder)
    head.initialize(seeded_generator(config.seed, "masked head"))
    had_head = head.read(directory)
    model = MaskedModel(encoder, head).to(choose_device(config))
    encoder.set_precision(precision)
    head.dense.precision = precision
    return Pretraining(
        model,
        tokenized.at(order[count:].tolist()),
        tokenized.at(order[:count].tolist()),
        Masking(settings.mask_probability, tokenizer.mask_id, tokenizer.vocab_size),
        config,
        settings,
        {**facts, "new_head": not had_head},
    )


def _check_directory(out: Path, *, resume: bool) -> None:
    """Refuse a directory that exists already, or one in which there is nothing to continue."""
    started = (out / FACTS).is_file()
    if resume and not started:
        raise RunError(f"{out}: there is no pretraining to continue here; without --resume a new one begins")
    if not resume and started:
        raise RunError(f"{out}: exists already; continue it with --resume, or choose another --out")
    if not resume and out.exists() and any(not path.name.startswith(".") for path in out.iterdir()):
        raise RunError(f"{out}: exists already and is not empty; choose another --out")


def _facts(
    config: Config, settings: PretrainConfig, names: Sequence[str], files: Mapping[str, Any], texts: Sequence[str]
) -> dict[str, Any]:
    """What decides the result of a training."""
    return {
        "encoder": config.encoder,
        "encoder_files": encoder_files(config.encoder),
        "tasks": list(names),
        "data": dict(files),
        "texts": {"count": len(texts), "sha256": hashlib.sha256(json.dumps(texts).encode()).hexdigest()},
        "seed": config.seed,
        "precision": config.precision,
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
        raise RunError(f"{out}: was started with other {', '.join(changed)} ({FACTS}); continue it with those")


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
