"""The command ``bertram``: each subcommand's module is imported only when it is used.

Exit codes: 0 success, 1 a failure that is explained, 2 wrong usage.
"""

import os
import sys
from importlib.metadata import version

from cyclopts import App, CycloptsError

from bertram.errors import BertramError

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
    "data": "Describe or check data files.",
}
for name, text in COMMANDS.items():
    app.command(f"bertram.cli.{name}:app", name=name, help=text)


def main() -> None:
    """Run a command and exit with its code."""
    arguments = [word for word in sys.argv[1:] if word != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1
    try:
        app(arguments, exit_on_error=False, result_action="return_value")
    except CycloptsError:
        sys.exit(2)
    except BertramError as error:
        if debug:
            raise
        sys.stderr.write(f"bertram: {error}\n")
        sys.exit(1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains once more on exit
        sys.exit(1)
    except KeyboardInterrupt:
        sys.stderr.write("bertram: interrupted\n")
        sys.exit(130)
