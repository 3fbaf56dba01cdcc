"""The model card of an export: tasks, scores, data, limits, origins and licences."""

from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path

from bertram.evaluation.baseline import best_baseline
from bertram.evaluation.caveats import notes
from bertram.export.origins import APACHE, DATA, ENCODERS, UNKNOWN_DATA, UNKNOWN_ENCODER, Origin
from bertram.prediction.model import Model
from bertram.runs.directory import Run
from bertram.runs.record_parts import DataFile, FileUse
from bertram.runs.scores import Score
from bertram.tasks import QUORA, SST, STS, Task

LIBRARIES = {
    "hf": "transformers",
    "transformers": "transformers",
    "sentence-transformers": "sentence-transformers",
    "onnx": "onnx",
}
HOLDS = {
    "hf": "The encoder, for `transformers`.",
    "transformers": "A sequence classifier, for `transformers`.",
    "sentence-transformers": "For `sentence-transformers`.",
    "onnx": "Graphs for `onnxruntime`.",
}
COURSE = {str(task.files.train): name for name, task in (("sst", SST), ("quora", QUORA), ("sts", STS))}


def card(run: Run, model: Model, form: str, usage: str) -> str:
    """The text of README.md.

    Args:
        run: run that is exported; its record holds the scores.
        model: model of the run.
        form: format of the export.
        usage: instructions for the directory, in Markdown.
    """
    name = run.path.resolve().name
    parts = [
        _head(run, form),
        f"# {name}\n",
        f"{HOLDS[form]} Fine-tuned on {_listed(model.tasks)} with BERTram {version('bertram')}.\n",
        "## Use\n",
        usage,
        "## Tasks\n",
        _table(("task", "reads", "gives", "pairs are encoded", "head"), [_task(t) for t in model.tasks.values()]),
        "## Scores\n",
        "On the dev files, with 95 % intervals over examples; they do not cover other seeds.\n",
        _table(("task", "score", "value", "95 % interval", "n", "best constant answer"), list(_scores(run, model))),
        "## Data\n",
        *_data(run, model),
        "## Training\n",
        _training(run),
        "## Limits\n",
        "".join(f"- {line}\n" for line in _limits(run, model)),
        "## Licences and attribution\n",
        "".join(f"- {line}\n" for line in _licences(run, model)),
    ]
    return "\n".join(parts)


def _head(run: Run, form: str) -> str:
    """The front matter that the Hub reads."""
    origin = ENCODERS.get(run.config.encoder, UNKNOWN_ENCODER)
    lines = [f"license: {'apache-2.0' if origin.licence == APACHE else 'other'}", f"library_name: {LIBRARIES[form]}"]
    lines += [f"base_model: {origin.hub}"] if origin.hub else []
    lines += ["pipeline_tag: text-classification"] if form == "transformers" else []
    return "\n".join(["---", *lines, "tags: [bertram, bert, multitask]", "---\n"])


def _task(task: Task) -> list[str]:
    how = ("text by text" if task.encoding == "bi" else "together") if task.pair else "–"
    return [
        task.name,
        "two texts" if task.pair else "one text",
        task.label_space.description,
        how,
        f"{task.head}, {task.trained_by}",
    ]


def _scores(run: Run, model: Model) -> Iterator[list[str]]:
    dev, baselines = run.record.scores.dev, run.record.baselines
    for name in model.tasks:
        for metric, score in dev.tasks.get(name, {}).items():
            best = best_baseline(baselines.get(name, {}), metric)
            trivial = "" if best is None else f"{best.value:.4f} ({best.words})"
            yield [name, metric, _value(score), _interval(score), str(score.n), trivial]
    for name in ("overall", "overall_plain"):
        score = dev.mean(name)
        yield [name, "", _value(score), _interval(score), "", ""]


def _value(score: Score) -> str:
    return f"undefined: {score.undefined or ''}" if score.value is None else f"{score.value:.4f}"


def _interval(score: Score) -> str:
    return f"{score.ci95[0]:.4f} to {score.ci95[1]:.4f}" if score.ci95 else ""


def _use(use: FileUse | DataFile) -> list[str]:
    """A file's use by a task; older records have the counts of the file only."""
    if isinstance(use, DataFile):
        return ["", str(use.rows), str(use.rejected), ""]
    return [f"{use.task} {use.part}", str(use.rows), str(use.rejected), str(use.unlabelled)]


def _data(run: Run, model: Model) -> Iterator[str]:
    source = {"sample": "the sample that comes with BERTram", "hub": "the Hugging Face Hub"}.get(
        run.config.data, "a local directory"
    )
    yield f"From {source}.\n"
    rows = [
        [name, *_use(use), f"`{file.sha256[:16]}…`"]
        for name, file in run.record.data.items()
        for use in (file.uses or (file,))
    ]
    yield _table(("file", "used for", "rows", "rejected", "without label", "SHA-256"), rows)
    yield "".join(f"- {name}: {_origin(run, task).words}\n" for name, task in model.tasks.items())


def _origin(run: Run, task: Task) -> Origin:
    """Origin of the rows of a task, as far as the file names tell."""
    if run.config.data == "sample":
        return DATA["sample"]
    return DATA.get(COURSE.get(str(task.files.train), ""), UNKNOWN_DATA)


def _training(run: Run) -> str:
    record = run.record
    lines = [f"- recipe {record.recipe}, seed {record.seed}, encoder {_encoder(run)}"]
    if (steps := record.steps) is not None:
        lines.append(f"- {steps.taken} steps; an epoch is {steps.epoch}; the weights are those of step "
                     f"{steps.best}" if steps.best else f"- {steps.taken} steps")  # fmt: skip
    if (merged := record.merged) is not None:
        lines.append(f"- a {merged.how} of {len(merged.members)} runs ({merged.choice})")
    versions = record.provenance.versions.items()
    lines.append("- made with " + ", ".join(f"{name} {number}" for name, number in versions))
    lines.append(f"- configuration hash `{record.config_hash}`")
    return "\n".join(lines) + "\n"


def _encoder(run: Run) -> str:
    source = run.config.encoder
    return source if source in ENCODERS else Path(source).name


def _limits(run: Run, model: Model) -> Iterator[str]:
    yield from notes(run)
    yield f"Texts are truncated to {model.max_tokens} tokens, special tokens included."
    yield "It has not been evaluated on other kinds of text or other languages than those of its data."
    yield "The model repeats the prejudices of its data; do not use it to decide about people."
    styles = {task.text_normalization for task in model.tasks.values()}
    if "course" in styles:
        yield "Texts were lower-cased in training; with a cased tokenizer, lower-case them first."
    if any(task.pair and task.encoding == "cross" for task in model.tasks.values()):
        yield "In a pair that is too long, other libraries may truncate one token elsewhere than BERTram does."


def _licences(run: Run, model: Model) -> Iterator[str]:
    origin = ENCODERS.get(run.config.encoder, UNKNOWN_ENCODER)
    yield f"Weights: {origin.words} They were changed by fine-tuning."
    for origin_words in dict.fromkeys(_origin(run, task).licence for task in model.tasks.values()):
        yield f"Data: {origin_words}"
    yield f"Made with BERTram, {APACHE}."


def _listed(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _table(headings: tuple[str, ...], rows: list[list[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"
