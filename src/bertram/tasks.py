"""Tasks: one text or a pair in; a class, a yes or no, a score, or a set of labels out.

SST, QUORA and STS, the tasks of the study, are three values of `Task`; a user's own tasks are further values.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, Self

from pydantic import (
    Field,
    field_validator,
    model_validator,
)

from bertram.label_spaces import LabelSpace, Metric, whole
from bertram.task_files import Extra, Files, Further, LabelledFile, OneOrMore, Strict, Unlabelled, as_list, with_columns
from bertram.task_kinds import KINDS, LOSSES, SIMILARITIES, Encoding, Head, Kind, Loss

ROW_FIELDS = frozenset(  # those that decide which rows a task's own files have
    {"kind", "files", "hub", "labels", "range", "text_normalization", "label_separator", "absent_labels"}
)


def is_task_name(name: str) -> bool:
    """Whether a task may have this name: letters, digits, - and _, so that it is also a safe name of a file."""
    return name.replace("-", "").replace("_", "").isalnum()


class Task(Strict):
    """One task: its texts, its labels, how it is learned and how it is scored."""

    name: str = Field("", description="name of the task; taken from the name of its table")
    kind: Kind = Field(..., description="kind of label: one of several classes, yes or no, a score, or several labels")
    files: Files = Field(..., description="files in the data directory")
    hub: Files | None = Field(None, description="the same rows on the Hugging Face Hub, for --data hub")
    extra: OneOrMore[Extra] = Field(
        (), description="additional training rows: a table, or a list of tables or files with the columns of `files`"
    )
    unlabelled: OneOrMore[Unlabelled] = Field(
        (), description="rows that only teachers label: a table, or a list of tables or files"
    )
    labels: tuple[str, ...] = Field(
        (),
        description="label values in the files, in order; none: those of the training file (class, multi-label), or "
        "files.label_columns (multi-label); the values for no and yes (binary; none: 0 and 1, no and yes, or false and "
        "true); numbers match as numbers, 1.0 is 1",
    )
    label_names: tuple[str, ...] = Field((), description="display names of the labels; none: the labels themselves")
    label_separator: str | None = Field(
        None,
        min_length=1,
        description="separator of several labels in one cell; none: a list in brackets, or the semicolon, vertical bar "
        "or comma that the cell has (multi-label)",
    )
    absent_labels: tuple[str, ...] = Field(
        (),
        description="values in a list of labels that stand for no label, such as the 0 that fills it up (multi-label)",
    )
    range: tuple[float, float] = Field((0.0, 1.0), description="lowest and highest score, in label units (score)")
    encoding: Encoding = Field(
        "cross", description="encoding of a pair: both texts in one sequence (cross), or one sequence each (bi)"
    )
    head: Head = Field(
        "linear",
        description="layers on top of the encoder; the four similarities need bi-encoded pairs, features any pair",
    )
    pooling: Literal["target"] | None = Field(
        None,
        description="pooling of the task: the mean over the tokens of a marked target (target); none: model.pooling",
    )
    loss: Loss | None = Field(
        None,
        description="training loss; none: the first that fits the kind of label ("
        + "; ".join(f"{name}: {', '.join(kind.losses)}" for name, kind in KINDS.items())
        + ")",
    )
    metric: Metric | None = Field(
        None, description="main score; none: accuracy, Pearson's r for scores, micro-F1 for several labels"
    )
    margin: Annotated[float, Field(ge=-1, le=1)] = Field(0.0, description="margin of the cosine-embedding loss")
    raw_cosine: bool = Field(
        False, description="use the similarity itself as the logit, without learned scale and offset"
    )
    class_weights: Literal["balanced"] | tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (),
        description="factors of the examples' losses, one for each label in order, or balanced: inversely proportional "
        "to the label's training rows (multi-label: factors of the labels that are present); none: 1",
    )
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="share of each hard label that is spread evenly over all labels in training"
    )
    temperature: Annotated[float, Field(gt=0)] = Field(
        1.0, description="divisor of the logits in predictions; above 1: less confident"
    )
    thresholds: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        (),
        description="probability above which the answer is yes (binary), or above which a label is predicted: one for "
        "all, or one for each label in order (multi-label); none: 0.5",
    )
    weight: Annotated[float, Field(ge=0)] = Field(1.0, description="factor of the task's loss in the sum of all losses")
    trained: bool = Field(True, description="train the task; false: its head stays as initialized and is only scored")
    max_train_samples: Annotated[int, Field(ge=2)] | None = Field(
        None, description="number of training rows, drawn by the seed; none: all rows"
    )
    batch_size: Annotated[int, Field(ge=1)] | None = Field(
        None, description="examples of the task per batch; none: sampling.batch_size"
    )
    text_normalization: Literal["plain", "course"] = Field(
        "plain",
        description="plain strips whitespace; course also lower-cases and puts a space before . ? , ' in pairs",
    )

    @field_validator("labels", "label_names", mode="before")
    @classmethod
    def _as_text(cls, values: object) -> object:
        """Accept labels written as numbers in TOML."""
        return tuple(str(value) for value in values) if isinstance(values, list | tuple) else values

    @model_validator(mode="before")
    @classmethod
    def _name_files(cls, values: object) -> object:
        """Give the columns of `files` to a file that `extra` or `unlabelled` names without a table."""
        if not isinstance(values, Mapping):
            return values
        files = values.get("files")
        columns = files.model_dump() if isinstance(files, Files) else files
        if not isinstance(columns, Mapping):
            return values
        like_own = {name: columns[name] for name in ("texts", "encoding", "quoting") if name in columns}
        labelled = {
            **like_own,
            "label": columns.get("label", "label"),
            "label_columns": columns.get("label_columns", ()),
            "decimal": columns.get("decimal", "."),
            "match_labels": values.get("kind") in ("class", "binary"),
        }
        return {
            **values,
            **{
                field: [with_columns(file, table) for file in listed]
                for field, table in (("extra", labelled), ("unlabelled", like_own))
                if isinstance(listed := as_list(values.get(field, ())), list | tuple)
            },
        }

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        faults = list(self._faults())
        if faults:
            raise ValueError("\n".join(faults))
        return self

    def _faults(self) -> list[str]:
        space, losses = self.label_space, KINDS[self.kind].losses
        faults = list(space.faults())
        if len(set(self.labels)) != len(self.labels):
            faults.append("labels holds a value twice")
        if len(set(self.label_names)) != len(self.label_names):
            faults.append("label_names holds a value twice")
        faults.extend(self._ambiguous_names())
        labels = len(self.labels or self.files.label_columns) or (2 if space.threshold_count == 1 else 0)
        if self.label_names and len(self.label_names) != labels and (labels or not space.labels_from_data):
            faults.append(f"label_names has {len(self.label_names)} entries for {labels} labels")
        faults.extend(self._several_labels_faults())
        faults.extend(self._decision_faults())
        if self.loss and self.loss not in losses:
            faults.append(f"loss {self.loss!r} does not fit a {self.kind} task; use {' or '.join(losses)}")
        if self.metric and self.metric not in space.main_metrics:
            fitting = " or ".join(space.main_metrics)
            faults.append(f"metric {self.metric!r} does not fit a {self.kind} task; use {fitting}")
        faults.extend(self._head_faults())
        faults.extend(self._further_faults())
        return faults

    def _several_labels_faults(self) -> Iterator[str]:
        """Fields that only tasks with several labels have, and columns that are not as many as the labels."""
        if not self.label_space.is_set:
            for field, value in (("label_separator", self.label_separator), ("absent_labels", self.absent_labels)):
                if value:
                    yield f"{field} is for multi-label tasks"
        tables: dict[str, LabelledFile | None] = {"files": self.files, "hub": self.hub}
        tables |= {place: file for place, file in self.further.items() if isinstance(file, Extra)}
        for name, table in tables.items():
            columns = () if table is None else table.label_columns
            if columns and not self.label_space.is_set:
                yield f"{name}.label_columns is for multi-label tasks; name the column of labels in {name}.label"
            elif columns and len(columns) != self.classes:
                yield f"{name}.label_columns has {len(columns)} columns for {self.classes} labels"
            if len(set(columns)) != len(columns):
                yield f"{name}.label_columns holds a column twice"

    def _decision_faults(self) -> Iterator[str]:
        """Weights, smoothing, temperature and thresholds that the kind or its loss cannot have."""
        space, logits = self.label_space, self.has_logits
        described = f"a {self.kind} task with the loss {self.trained_by}"
        waits = space.labels_from_data and not space.names  # for the labels, with which these fields are checked again
        weights = () if self.class_weights == "balanced" else self.class_weights
        if self.class_weights and not space.names and not waits:
            yield f"class_weights: a {self.kind} task has no labels to weight"
        elif weights and not waits and len(weights) != len(space.names):
            yield f"class_weights has {len(weights)} weights for {len(space.names)} labels"
        if self.label_smoothing and not logits:
            yield f"label_smoothing: {described} has no probabilities to smooth"
        if self.temperature != 1 and not logits:
            yield f"temperature: {described} has no logits to divide"
        if self.thresholds and not space.threshold_count and not (waits and space.is_set):
            yield f"thresholds: a {self.kind} task has none; the likeliest label, or the score, is predicted"
        elif not waits and len(self.thresholds) not in (0, 1, space.threshold_count):
            yield f"thresholds has {len(self.thresholds)} values for {space.threshold_count} labels"

    def _ambiguous_names(self) -> list[str]:
        """Labels and display names that would mean two classes when they are read."""
        numbers: dict[str, str] = {}
        faults = []
        for label in self.labels:
            first = numbers.setdefault(whole(label), label)
            if first != label:
                faults.append(f"labels {first!r} and {label!r} are the same number")
        for index, name in enumerate(self.label_names[: len(self.labels)]):
            if name in self.labels and self.labels.index(name) != index:
                faults.append(f"label_names[{index}] = {name!r} is the label of another class")
        return faults

    def _head_faults(self) -> list[str]:
        bi_pair = self.pair and self.encoding == "bi"
        faults = []
        if self.head in SIMILARITIES and not bi_pair:
            faults.append(f'head {self.head!r} compares two texts: it needs two text columns and encoding = "bi"')
        if self.head == "features" and not self.pair:
            faults.append("head 'features' compares two texts: it needs two text columns")
        if self.head in SIMILARITIES and not self.label_space.one_number:
            faults.append(f"head {self.head!r} gives one number: it cannot tell {len(self.labels)} classes apart")
        if self.head in ("linear", "mlp") and bi_pair:
            faults.append(f'encoding = "bi" needs head = "features" or a similarity ({", ".join(SIMILARITIES)})')
        if LOSSES[self.trained_by].of_cosine and self.head != "cosine":
            faults.append(f'loss {self.trained_by!r} needs head = "cosine"')
        if self.raw_cosine and self.head not in SIMILARITIES:
            faults.append("raw_cosine needs a similarity head")
        faults.extend(self._target_faults())
        if self.hub and len(self.hub.texts) != len(self.files.texts):
            faults.append("hub.texts and files.texts differ in number")
        return faults

    def _further_faults(self) -> Iterator[str]:
        """Faults of the files beside the task's own."""
        for place, file in self.further.items():
            if len(file.texts) != len(self.files.texts):
                yield f"{place}.texts and files.texts differ in number"
            if isinstance(file, Extra) and file.match_labels and (self.label_space.numeric or self.label_space.is_set):
                yield f"{place}.match_labels needs labels that are classes"
        names = [file.file for file in self.further.values()]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield f"extra and unlabelled name the file {name} twice"
        if sum(file.share for file in self.further.values() if file.share != "rows") >= 1:
            yield "the shares of extra and unlabelled add up to 1 or more, which leaves none to the task's own rows"

    @property
    def further(self) -> dict[str, Further]:
        """The files of training rows beside the task's own, by their place: ``extra``, ``extra[1]``, ``unlabelled``."""
        listed: dict[str, tuple[Further, ...]] = {"extra": self.extra, "unlabelled": self.unlabelled}
        return {
            f"{field}[{number}]" if number else field: file
            for field, files in listed.items()
            for number, file in enumerate(files)
        }

    def _target_faults(self) -> list[str]:
        faults = []
        for table, files in (("files", self.files), ("hub", self.hub)):
            if files is None or files.targets is None:
                continue
            if not self.pools_target:
                faults.append(f'{table}.targets needs pooling = "target"')
            if len(files.targets) != len(files.texts):
                faults.append(f"{table}.targets and {table}.texts differ in number")
        return faults

    @property
    def pools_target(self) -> bool:
        """Whether the head reads the marked target of each text, and no other tokens."""
        return self.pooling == "target"

    @property
    def pair(self) -> bool:
        """Whether an example is two texts."""
        return len(self.files.texts) == 2

    @property
    def encodings_per_example(self) -> int:
        """Number of sequences that the encoder reads for one example."""
        return 2 if self.pair and self.encoding == "bi" else 1

    @property
    def compares(self) -> bool:
        """Whether the head takes a vector of each of two texts, rather than one of the input."""
        return self.head in (*SIMILARITIES, "features")

    @property
    def plain_similarity(self) -> bool:
        """Whether the output is a similarity as it is, without a learned scale and offset."""
        return self.head in SIMILARITIES and (self.raw_cosine or LOSSES[self.trained_by].of_cosine)

    @property
    def compares_within(self) -> bool:
        """Whether the head compares the two texts of one sequence."""
        return self.compares and self.encodings_per_example == 1

    @property
    def softmax(self) -> bool:
        """Whether the raw outputs are the logits of a softmax over classes."""
        return LOSSES[self.trained_by].of_softmax

    @property
    def has_logits(self) -> bool:
        """Whether the raw outputs are logits of probabilities, which a temperature can divide."""
        return LOSSES[self.trained_by].of_logits and not self.label_space.numeric

    @property
    def label_space(self) -> LabelSpace:
        """The values that a label can take."""
        return KINDS[self.kind].label_space(self)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Display names of the labels; empty for a score."""
        return self.label_space.names

    @property
    def classes(self) -> int:
        """Number of labels; 2 for yes or no, 0 for a score."""
        return len(self.class_names)

    @property
    def trained_by(self) -> Loss:
        """The loss, with the usual one of the kind as default."""
        return self.loss or KINDS[self.kind].losses[0]

    @property
    def scored_by(self) -> Metric:
        """The main score, with the usual one of the kind as default."""
        return self.metric or self.label_space.main_metrics[0]


SST = Task(
    name="sst",
    kind="class",
    labels=("0", "1", "2", "3", "4"),
    label_names=("very negative", "negative", "neutral", "positive", "very positive"),
    files=Files(
        train="ids-sst-train.csv",
        dev="ids-sst-dev.csv",
        test="ids-sst-test-student.csv",
        texts=("sentence",),
        label="sentiment",
        id="id",
    ),
    hub=Files(repo="SetFit/sst5", train="train.jsonl", dev="dev.jsonl", test="test.jsonl", texts=("text",)),
    text_normalization="course",
)
QUORA = Task(
    name="quora",
    kind="binary",
    labels=("0", "1"),
    label_names=("different", "paraphrase"),
    files=Files(
        train="quora-train.csv",
        dev="quora-dev.csv",
        test="quora-test-student.csv",
        texts=("sentence1", "sentence2"),
        label="is_duplicate",
        id="id",
    ),
    hub=Files(
        repo="nyu-mll/glue",
        train="qqp/train-00000-of-00001.parquet",
        dev="qqp/validation-00000-of-00001.parquet",
        test="qqp/test-00000-of-00001.parquet",
        texts=("question1", "question2"),
        id="idx",
    ),
    text_normalization="course",
)
STS = Task(
    name="sts",
    kind="score",
    range=(0.0, 5.0),
    files=Files(
        train="sts-train.csv",
        dev="sts-dev.csv",
        test="sts-test-student.csv",
        texts=("sentence1", "sentence2"),
        label="similarity",
        id="id",
    ),
    hub=Files(
        repo="nyu-mll/glue",
        train="stsb/train-00000-of-00001.parquet",
        dev="stsb/validation-00000-of-00001.parquet",
        test="stsb/test-00000-of-00001.parquet",
        texts=("sentence1", "sentence2"),
        id="idx",
    ),
    text_normalization="course",
)
