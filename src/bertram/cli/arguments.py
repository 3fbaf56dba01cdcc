"""Arguments that several commands take; each is described here once.

A command takes a group of options, such as `TextFile`, as one parameter: the fields of the dataclass are its options.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.types import PositiveFloat, PositiveInt

from bertram.cli.layout import Flag

DATA = "Directory with the data files; or hub (Hugging Face Hub), or sample (embedded)."
ENCODER = "minilm, mpnet, a directory in the Hugging Face layout, or a Hub id."
ENGINE = (
    "Software that computes: torch (PyTorch); onnx or onnx-int8 (onnxruntime, in fp32 or 8-bit integers); or the "
    "faster one of torch and onnx, if their answers agree to 1e-4 (auto). ONNX graphs are made once and kept beside "
    "the run."
)
ABSTAIN_BELOW = (
    "Confidence (probability of the predicted label) below which a prediction is withheld: its value and label are "
    "null. Default: none is."
)

RunDirectory = Annotated[Path, Parameter(help="Run directory.")]
Data = Annotated[str, Parameter(help=DATA)]
DataOrSample = Annotated[str | None, Parameter(help=f"{DATA} Default: sample.")]
DataOfRun = Annotated[str | None, Parameter(help=f"{DATA} Default: the data of the run.")]
EncoderOfRecipe = Annotated[str | None, Parameter(help=f"{ENCODER} Default: that of the recipe.")]
TaskFile = Annotated[Path | None, Parameter(help="TOML file that defines tasks.", allow_leading_hyphen=True)]
BatchSize = Annotated[PositiveInt, Parameter(help="Examples per batch.")]
AbstainBelow = Annotated[float | None, Parameter(help=ABSTAIN_BELOW)]
AllowRejects = Annotated[Flag, Parameter(help="Continue even if more than 1 % of a file's rows are rejected.")]
SmallestEffect = Annotated[
    PositiveFloat, Parameter(help="Smallest effect of interest on the overall score, an accuracy, F1 or a correlation.")
]
MaxSeeds = Annotated[
    PositiveInt | None,
    Parameter(help="Largest number of seeds with --until-decided; at least 3. Default: 12."),
]
Fraction = Annotated[float, Parameter(help="Share of each task's training rows that is used.")]
MaxEvalSamples = Annotated[int | None, Parameter(help="Dev rows of each task in evaluations. Default: all rows.")]
Jobs = Annotated[PositiveInt, Parameter(help="Runs at a time; they share the cores.")]
KeepModels = Annotated[
    Flag, Parameter(help="Keep the trained models. Without it only records and predictions are kept.")
]
ResumeRun = Annotated[
    Flag,
    Parameter(
        help="Continue the run in --out from its newest valid checkpoint; with further options, begin it if there is "
        "none."
    ),
]
EstimateOnly = Annotated[
    Flag, Parameter(help="Print the configuration and an estimate of time and memory, without training.")
]


@dataclass(frozen=True)
class TextFileOptions:
    """Options of the commands that read texts: how the input file is to be read."""

    input_format: Annotated[
        Literal["csv", "tsv", "jsonl", "text"] | None,
        Parameter(help="Input format, if the file name has no known extension."),
    ] = None
    encoding: Annotated[
        str | None,
        Parameter(help="Text encoding of the input, such as cp1252. Default: UTF-8, or what a byte order mark says."),
    ] = None
    quoting: Annotated[
        Literal["auto", "standard", "none"],
        Parameter(
            help="Quotes in a table: fields in quotes may span lines (standard), or quotes are ordinary characters "
            "(none); auto is standard, except where a quote would swallow rows."
        ),
    ] = "auto"


TextFile = Annotated[TextFileOptions, Parameter(name="*")]
TEXT_FILE_DEFAULTS = TextFileOptions()
