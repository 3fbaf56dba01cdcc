"""The files of a task: which they are, their columns, and how their text is read."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
)

from bertram.standard_streams import is_dash

Quoting = Literal["auto", "standard", "none"]


class Strict(BaseModel):
    """A frozen value that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class TextFile(Strict):
    """Text encoding and quoting of a file; Parquet ignores them."""

    encoding: str | None = Field(
        None, description="text encoding, such as cp1252; none: UTF-8, or as the byte order mark says"
    )
    quoting: Quoting = Field(
        "auto",
        description="quotes in a table: fields in quotes may span lines (standard), or quotes are ordinary "
        "characters (none); auto is standard, except where a quote would swallow rows",
    )

    @field_validator("encoding")
    @classmethod
    def _check_encoding(cls, value: str | None) -> str | None:
        try:
            "".encode(value or "utf-8")
        except LookupError:
            raise ValueError(f"unknown encoding {value!r}; usual ones are utf-8, utf-16, cp1252 and latin-1") from None
        return value

    @model_serializer(mode="wrap")
    def _without_defaults(self, fields: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is not set: configurations from before this field keep their hash."""
        values: dict[str, Any] = fields(self)
        defaults = {"quoting": "auto", "decimal": "."}
        if not values.get("label_columns"):
            values.pop("label_columns", None)
        return {name: value for name, value in values.items() if value != defaults.get(name, ...)}


def named_file(name: str | None) -> str | None:
    """The name of a file of rows, which cannot be standard input.

    Raises:
        ValueError: it is ``-``.
    """
    if name is not None and is_dash(name):
        raise ValueError("the files of a task are read more than once; save standard input (-) as a file and name it")
    return name


FileName = Annotated[str, AfterValidator(named_file)]
FileNameOrNone = Annotated[str | None, AfterValidator(named_file)]


class LabelledFile(TextFile):
    """Columns of the labels of a file."""

    label_columns: tuple[str, ...] = Field(
        (), description="columns of yes or no, one for each label, in place of the column label (multi-label)"
    )
    decimal: Literal[".", ","] = Field(".", description="decimal mark of the scores in the file")


class Files(LabelledFile):
    """Files with the rows of a task, and their columns."""

    train: FileNameOrNone = Field(
        None, description="file of training rows, relative to the data directory or the Hub data set"
    )
    dev: FileNameOrNone = Field(None, description="file of dev rows")
    test: FileNameOrNone = Field(None, description="file of test rows; labels are optional")
    texts: tuple[str, ...] = Field(..., description="text columns: one, or two for pairs", min_length=1, max_length=2)
    targets: tuple[str, ...] | None = Field(
        None,
        description="columns with the span of each text's target, start:end or [start, end] in characters (pooling "
        "target); none: marks in the texts",
        min_length=1,
        max_length=2,
    )
    label: str = Field("label", description="column of labels or scores")
    id: str | None = Field(None, description="column of row ids; none: the row number is the id")
    group: str | None = Field(
        None, description="column whose equal values stay on one side where rows are held out, such as an author"
    )
    repo: str | None = Field(None, description="id of the Hub data set that holds the files; none: the data directory")


BatchShare = Annotated[float, Field(gt=0, lt=1)] | Literal["rows"]


class Extra(LabelledFile):
    """Additional training rows of a task, such as the phrases of the SST trees."""

    file: FileName = Field(..., description="file of additional training rows")
    texts: tuple[str, ...] = Field(
        ..., description="text columns of this file: one, or two for pairs", min_length=1, max_length=2
    )
    label: str = Field(..., description="column of labels or scores in this file")
    exclude: dict[str, str] = Field(
        {}, description='column and value of rows that are skipped, such as {split = "dev"}'
    )
    share: BatchShare = Field(
        0.5, description="share of each batch that is drawn from these rows; rows: in proportion to their number"
    )
    match_labels: bool = Field(
        False,
        description="draw these rows with the label frequencies of the task's own training rows (class, binary)",
    )


class Unlabelled(TextFile):
    """Training rows without a label, for which the teachers' outputs stand (distillation)."""

    file: FileName = Field(..., description="file of rows without a label, whose labels are the teachers' outputs")
    texts: tuple[str, ...] = Field(
        ..., description="text columns of this file: one, or two for pairs", min_length=1, max_length=2
    )
    exclude: dict[str, str] = Field({}, description="column and value of rows that are skipped")
    share: BatchShare = Field(
        0.5, description="share of each batch that is drawn from these rows; rows: in proportion to their number"
    )


Further = Extra | Unlabelled


def as_list(value: object) -> object:
    """One table or name as a list of one; none as an empty list."""
    if value is None or value == "none":
        return ()
    return (value,) if isinstance(value, Mapping | BaseModel | str) else value


def _without_list(files: tuple[Further, ...]) -> list[dict[str, Any]] | dict[str, Any]:
    """A single file as a table, as configurations have it since before there could be several."""
    values = [file.model_dump(mode="json", exclude_none=True) for file in files]
    return values[0] if len(values) == 1 else values


FileTable = TypeVar("FileTable", Extra, Unlabelled)
OneOrMore = Annotated[tuple[FileTable, ...], BeforeValidator(as_list), PlainSerializer(_without_list)]


def with_columns(file: object, columns: Mapping[str, object]) -> object:
    """A file that is given by its name, with its columns; it counts as many rows as it has."""
    return {**columns, "file": file, "share": "rows"} if isinstance(file, str) else file
