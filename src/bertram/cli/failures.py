"""One exit for every failure: a line or two on standard error, and the exit code."""

import errno
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from cyclopts import CycloptsError

from bertram.cli.terminal import say
from bertram.errors import BertramError

SUCCESS, FAILURE, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130
OUTPUT_ERRORS = {errno.ENOSPC, errno.EIO, errno.EBADF, errno.EFBIG, errno.EDQUOT}
NO_MEMORY = ("out of memory", "not enough memory", "can't allocate memory")
REPORT_PACKAGES = ("matplotlib", "jinja2", "markupsafe")
CONTINUE = {
    "reproduce": "repeat the command to continue",
    "ablate": "repeat the command to continue",
    "pretrain": "repeat the command to continue, with --resume once the training has begun",
    "predict": "with --out, repeat the command to continue",
}


class UsageError(BertramError):
    """Arguments that do not go together."""


@contextmanager
def needs_report(product: str) -> Iterator[None]:
    """A block that imports what the extra `report` installs.

    Args:
        product: name of what is made.

    Raises:
        BertramError: a package is missing; with the command that installs it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in REPORT_PACKAGES:
            raise
        raise BertramError(f"{product} needs {error.name}; install it with: pip install 'bertram[report]'") from None


def run_command(command: Callable[[], None], words: Sequence[str], *, debug: bool) -> int:
    """Run a command and explain whatever it raises.

    Args:
        command: does the work.
        words: the words of the command line, to say how an interrupted command is continued.
        debug: let the error through, for a traceback.

    Returns:
        The exit code: 0 success, 1 failure, 2 wrong usage, 130 interrupted.
    """
    try:
        command()
        sys.stdout.flush()  # a full disk is noticed while it can still be reported
    except CycloptsError:  # cyclopts has written its message
        return WRONG_USAGE
    except UsageError as error:
        say(f"bertram: {error}")
        return WRONG_USAGE
    except KeyboardInterrupt:
        say(f"bertram: interrupted{_how_to_continue(words)}")
        return INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return FAILURE
    except Exception as error:
        if debug:
            raise
        if isinstance(error, OSError) and error.filename is None:
            _discard_output()
        say(f"bertram: {explanation(error)}")
        return FAILURE
    return SUCCESS


def explanation(error: Exception) -> str:
    """One or two lines about an error, and one for each note on it; more only if it lists several faults."""
    if isinstance(error, BertramError):
        return "\n".join([str(error), *getattr(error, "__notes__", [])])
    if isinstance(error, MemoryError) or any(text in str(error).lower() for text in NO_MEMORY):
        return "out of memory; use smaller batches or a smaller encoder (--debug shows the traceback)"
    if isinstance(error, OSError) and (error.filename is not None or error.errno in OUTPUT_ERRORS):
        return f"{error.filename or 'output'}: {error.strerror or error}"
    if isinstance(error, RuntimeError) and "gloo" in str(error) and "by peer" in str(error):
        return "another process of this run has ended; its message has the reason"
    lines = str(error).strip().splitlines()
    message = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return f"unexpected error: {message}\nRepeat the command with --debug for the traceback."


def _how_to_continue(words: Sequence[str]) -> str:
    if not words:
        return ""
    if words[0] in ("train", "distill"):
        return f"; continue with: bertram {words[0]} --resume --out {_out(words) or 'RUN'}"
    return f"; {CONTINUE[words[0]]}" if words[0] in CONTINUE else ""


def _out(words: Sequence[str]) -> str | None:
    for word, following in zip(words, [*words[1:], None], strict=True):
        if word == "--out":
            return following
        if word.startswith("--out="):
            return word.partition("=")[2]
    return None


def _discard_output() -> None:
    """Send what is left of the output nowhere; otherwise Python fails again on exit."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # the stream has no file descriptor
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - open until the process ends
