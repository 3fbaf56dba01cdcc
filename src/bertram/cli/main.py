"""The command ``bertram``: each subcommand's module is imported only when it is used.

Exit codes: 0 success, 1 a failure that is explained, 2 wrong usage.
"""

import atexit
import gc
import os
import sys
import warnings
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import Any

from cyclopts import App, CycloptsError

from bertram.errors import BertramError
from bertram.old_names import OldNameWarning, present_options

# Threads that wait for each other by spinning come to a crawl when anything else runs on the machine, and threads that
# sleep at once are slow to wake: spin shortly. Read when torch is imported, so it is set here.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")

app = App(
    name="bertram",
    help="One BERT for several text tasks, and an honest account of what each training technique is worth.",
    help_epilogue="Start with: bertram train --data sample",
    help_format="plaintext",
    version=lambda: version("bertram"),
)
COMMANDS = {
    "train": "Train one model on several tasks.",
    "evaluate": "Score a run on labelled data.",
    "predict": "Predict texts from a file or standard input.",
    "submission": "Write the course leaderboard's six files.",
    "score": "Score anybody's file of predictions.",
    "compare": "Compare runs on the same examples.",
    "soup": "Average the weights of runs.",
    "ensemble": "Average the predictions of runs.",
    "reproduce": "Run the study's experiments again, beside its published figures.",
    "ablate": "Measure what each technique is worth, with intervals.",
    "serve": "Serve a run: a page to type into, and a JSON API.",
    "export": "Write a run in the format of another tool.",
    "report": "Write a run or a study as one HTML file.",
    "data": "Describe or check data files.",
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
        if arguments and arguments[0] in COMMANDS and app[arguments[0]].default_command is not None:
            app[arguments[0]].help = None  # its own docstring, which says more than its line in the list
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


def _show_warning(usual: Callable[..., None], message: Warning | str, category: type[Warning], *place: Any) -> None:
    """Write a warning of a former name as one line, any other as usual."""
    if issubclass(category, OldNameWarning):
        sys.stderr.write(f"bertram: {message}\n")
    else:
        usual(message, category, *place)


def _give_up_output() -> None:
    """Send what is left of the output nowhere, or Python complains once more on exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
