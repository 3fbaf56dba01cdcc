"""The command ``bertram``: each subcommand's module is imported only when it is used.

Exit codes: 0 success, 1 failure (explained in a line or two), 2 wrong usage, 130 interrupted.
"""

import atexit
import gc
import importlib
import inspect
import os
import sys
import warnings
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import Any

from cyclopts import App

from bertram.cli.failures import run_command
from bertram.cli.layout import unwrapped
from bertram.cli.terminal import prepare, say
from bertram.errors import BertramError
from bertram.options.old_names import OldNameWarning, present_options

# Threads that wait for each other by spinning come to a crawl when anything else runs on the machine, and threads that
# sleep at once are slow to wake: spin shortly. Read when torch is imported, so it is set here.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")

app = App(
    name="bertram",
    help="Train one BERT on several text tasks, and measure what each training technique is worth.",
    help_epilogue="Start with: bertram train --data sample\n\nWith --debug, an error shows its traceback.",
    help_format="plaintext",
    version=lambda: version("bertram"),
    suppress_keyboard_interrupt=False,  # run_command says how to continue
)
COMMANDS = {
    "train": "Train one model on several tasks.",
    "pretrain": "Train an encoder further on the texts of tasks, as a masked language model.",
    "distill": "Train one model on the outputs of trained models, too.",
    "crossval": "Score every training row by a model that never saw it.",
    "recipes": "List the recipes, or show one in full.",
    "evaluate": "Score a run on labelled data.",
    "calibrate": "Fit temperature and thresholds of a run.",
    "predict": "Predict texts from a file or standard input.",
    "embed": "Write a vector for each text.",
    "submission": "Write the six files of the course's leaderboard.",
    "score": "Score a file of predictions made by any program.",
    "compare": "Compare runs on the same examples.",
    "soup": "Average the weights of runs.",
    "ensemble": "Average the predictions of runs.",
    "reproduce": "Run the study's experiments and compare with the published scores.",
    "ablate": "Estimate the effect of each technique, with intervals.",
    "serve": "Serve a run over HTTP: a web page and a JSON API.",
    "export": "Write a run in the format of another library.",
    "push": "Upload an export to the Hugging Face Hub.",
    "report": "Write an HTML report of a run or a study.",
    "change": "Measure how words changed between periods.",
    "data": "Describe, check or prepare data files.",
}
for number, (name, text) in enumerate(COMMANDS.items()):
    app.command(f"bertram.cli.{name}:app", name=name, help=text, sort_key=number)


def main() -> None:
    """Run a command and exit with its code."""
    atexit.register(gc.freeze)  # no search for cycles in what ends anyway: with torch it takes a third of a second
    if sys.stderr is None:  # closed by the caller
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - open until the process ends
    prepare()
    words = [word for word in sys.argv[1:] if word != "--debug"]
    debug = len(words) < len(sys.argv) - 1
    with warnings.catch_warnings():
        warnings.simplefilter("default", OldNameWarning)
        warnings.showwarning = partial(_show_warning, warnings.showwarning)
        if code := run_command(partial(_run, words), words, debug=debug):
            sys.exit(code)


def _run(words: list[str]) -> None:
    if sys.stdout is None:
        raise BertramError("standard output is closed; send it to a file or to /dev/null")
    if words and words[0] in COMMANDS:
        _prepare_help(*words)
    app(present_options(words), exit_on_error=False, result_action="return_value")


def _prepare_help(command: str, *words: str) -> None:
    chosen = app[command]
    if chosen.default_command is not None:
        chosen.help = None  # the docstring of the command says more than its line in the list
    elif words and words[0] in chosen:
        chosen = chosen[words[0]]
    if inspect.isfunction(chosen.default_command):
        chosen.default_command.__doc__ = unwrapped(inspect.getdoc(chosen.default_command) or "")
    if command == "train" and {"--help", "-h"} & set(words):
        importlib.import_module("bertram.cli.train").prepare_help(words)


def _show_warning(show: Callable[..., None], message: Warning | str, category: type[Warning], *place: Any) -> None:
    """Write a warning of a former name as one line, any other as usual."""
    if issubclass(category, OldNameWarning):
        say(f"bertram: {message}")
    else:
        show(message, category, *place)
