"""``bertram pretrain``."""

from collections.abc import Sequence
from pathlib import Path

from cyclopts import App

from bertram.cli.arguments import DataOrSample, EncoderOfRecipe, TaskFile
from bertram.cli.layout import Flag, Words
from bertram.cli.settings import resolved
from bertram.config import Config, PretrainConfig
from bertram.errors import ConfigError
from bertram.options.command_line import pairs

EXAMPLES = """Examples:

  bertram pretrain --data DIR --tasks sst,sts --out encoders/further
  bertram train --data DIR --encoder encoders/further --out RUN
  bertram pretrain --data DIR --tasks sst,sts --resume --out encoders/further
"""

app = App(name="pretrain", help_epilogue=EXAMPLES, help_format="plaintext")
DEFAULTS = PretrainConfig()
READ = ("tasks", "split", "allow_rejects")  # tables and fields of a configuration that decide which texts there are


@app.default
def pretrain(
    *words: Words,
    out: Path,
    data: DataOrSample = None,
    tasks: str | None = None,
    encoder: EncoderOfRecipe = None,
    config: TaskFile = None,
    epochs: int = DEFAULTS.epochs,
    max_steps: int | None = None,
    batch_size: int = DEFAULTS.batch_size,
    lr: float = DEFAULTS.lr,
    warmup_ratio: float = DEFAULTS.warmup_ratio,
    weight_decay: float = DEFAULTS.weight_decay,
    mask_probability: float = DEFAULTS.mask_probability,
    whole_word: Flag = False,
    max_length: int | None = None,
    seed: int | None = None,
    precision: str | None = None,
    threads: int | None = None,
    device: str | None = None,
    save_minutes: float | None = None,
    resume: Flag = False,
) -> None:
    """Train an encoder further as a masked language model, on the training texts of tasks.

    Dev and test files are not read, and dev rows that `bertram train` would hold out with the same --config and
    --split options are left out. The result is a directory for --encoder, and for AutoModelForMaskedLM of transformers.

    Parameters
    ----------
    out
        Directory to create.
    tasks
        Names of the tasks, separated by commas. Default: all tasks.
    epochs
        Number of passes over the texts.
    max_steps
        Number of steps, in place of the epochs.
    batch_size
        Texts per batch.
    lr
        Learning rate after warmup; it falls linearly to 0.
    warmup_ratio
        Share of all steps in which the learning rate rises linearly from 0.
    weight_decay
        Weight decay, decoupled from the gradient.
    mask_probability
        Share of the tokens that are predicted.
    whole_word
        Choose all tokens of a word together.
    max_length
        Maximum sequence length in tokens; longer texts are truncated. Default: the encoder's limit.
    seed
        Random seed. Default: that of --config, or 0.
    precision
        Precision of the matrix multiplications: auto, fp32 or bf16. Default: that of --config, or auto.
    threads
        Number of CPU threads. Default: that of --config, or one per core.
    device
        Device that trains: auto, cpu or cuda. Default: that of --config, or auto.
    save_minutes
        Minutes between two checkpoints. Default: that of --config, or 3.
    resume
        Continue in --out from its newest valid checkpoint; give the same options again.
    """
    from pydantic import ValidationError  # noqa: PLC0415

    from bertram.cli.terminal import say  # noqa: PLC0415
    from bertram.training.pretrain import pretrain as run  # noqa: PLC0415

    _refuse_other_fields(words)
    top: dict[str, object] = {"data": data, "encoder": encoder, "seed": seed, "precision": precision, "device": device}
    top |= {"threads": threads, "checkpoint": None if save_minutes is None else {"save_minutes": save_minutes}}
    settings: Config = resolved(None, config, words, top.items())
    try:
        masked = PretrainConfig(
            epochs=epochs,
            max_steps=max_steps,
            batch_size=batch_size,
            lr=lr,
            warmup_ratio=warmup_ratio,
            weight_decay=weight_decay,
            mask_probability=mask_probability,
            whole_word=whole_word,
            max_length=max_length,
        )
    except ValidationError as error:
        faults = [f"--{fault['loc'][0]}: {fault['msg'][0].lower()}{fault['msg'][1:]}" for fault in error.errors()]
        raise ConfigError([fault.replace("_", "-", fault.index(":")) for fault in faults]) from None
    names = None if tasks is None else [name.strip() for name in tasks.split(",") if name.strip()]
    run(settings, masked, out, tasks=names, resume=resume, say=say)


def _refuse_other_fields(words: Sequence[str]) -> None:
    """Refuse fields of a configuration that only a training of tasks reads, such as ``--optimizer.lr``.

    Raises:
        ConfigError: with a line for each.
    """
    names = [name for name, _ in pairs(words)]
    others = [name for name in names if name.split(".")[0].replace("-", "_") not in READ]
    if others:
        raise ConfigError([f"--{name}: no option of pretrain; bertram pretrain --help lists them" for name in others])
