"""The command ``bertram``: each subcommand's module is imported only when it is used.

Exit codes: 0 success, 1 a failure that is explained, 2 wrong usage.
"""

import atexit
import gc
import importlib
import os
import sys
import warnings
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import Any

from cyclopts import App, CycloptsError

from bertram.errors import BertramError
from bertram.options.old_names import OldNameWarning, present_options

# Threads that wait for each other by spinning come to a crawl when anything else runs on the machine, and threads that
# sleep at once are slow to wake: spin shortly. Read when torch is imported, so it is set here.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")

app = App(
    name="bertram",
    help="Train one BERT on several text tasks, and measure what each training technique is worth.",
    help_epilogue="Start with: bertram train --data sample",
    help_format="plaintext",
    version=lambda: version("bertram"),
)
COMMANDS = {
    "train": "Train one model on several tasks.",
    "recipes": "List the recipes, or show one in full.",
    "evaluate": "Score a run on labelled data.",
    "predict": "Predict texts from a file or standard input.",
    "submission": "Write the six files of the course's leaderboard.",
    "score": "Score a file of predictions made by any program.",
    "compare": "Compare runs on the same examples.",
    "soup": "Average the weights of runs.",
    "ensemble": "Average the predictions of runs.",
    "reproduce": "Run the study's experiments and compare with the published scores.",
    "ablate": "Estimate the effect of each technique, with intervals.",
    "serve": "Serve a run over HTTP: a web page and a JSON API.",
    "export": "Write a run in the format of another library.",
    "report": "Write an HTML report of a run or a study.",
    "data": "Describe, check or prepare data files.",
}
for number, (name, text) in enumerate(COMMANDS.items()):
    app.command(f"bertram.cli.{name}:app", name=name, help=text, sort_key=number)


def main() -> None:
    """Run a command and exit with its code."""
    atexit.register(gc.freeze)  # no search for cycles in what ends anyway: with torch it takes a third of a second
    arguments = [word for word in sys.argv[1:] if word != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1
    with warnings.catch_warnings():
        warnings.simplefilter("default", OldNameWarning)
        warnings.showwarning = partial(_show_warning, warnings.showwarning)
        _run(arguments, debug=debug)


def _run(arguments: list[str], *, debug: bool) -> None:
    try:
        if arguments and arguments[0] in COMMANDS:
            _prepare_help(*arguments)
        app(present_options(arguments), exit_on_error=False, result_action="return_value")
        sys.stdout.flush()  # so that a full disk is found out while it can still be told
    except CycloptsError:
        sys.exit(2)
    except BertramError as error:
        if debug:
            raise
        sys.stderr.write(f"bertram: {error}\n")
        sys.exit(1)
    except BrokenPipeError:
        _give_up_output()
        sys.exit(1)
    except OSError as error:
        if debug:
            raise
        if error.filename is None:
            _give_up_output()
        sys.stderr.write(f"bertram: {error.filename or 'output'}: {error.strerror or error}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.stderr.write("bertram: interrupted\n")
        sys.exit(130)


def _prepare_help(command: str, *words: str) -> None:
    if app[command].default_command is not None:
        app[command].help = None  # the docstring of the command says more than its line in the list
    if command == "train" and {"--help", "-h"} & set(words):
        importlib.import_module("bertram.cli.train").prepare_help(words)


def _show_warning(usual: Callable[..., None], message: Warning | str, category: type[Warning], *place: Any) -> None:
    """Write a warning of a former name as one line, any other as usual."""
    if issubclass(category, OldNameWarning):
        sys.stderr.write(f"bertram: {message}\n")
    else:
        usual(message, category, *place)


def _give_up_output() -> None:
    """Send what is left of the output nowhere, or Python complains once more on exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
