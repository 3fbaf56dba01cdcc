"""The command line: called in this process, or as a separate process."""

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from bertram.cli.main import main


class Outcome(NamedTuple):
    """Exit code and output of a command."""

    code: int
    out: str
    err: str


def call(*words: object, stdin: bytes = b"") -> Outcome:
    """Run a command in this process, with wide tables."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with (
        mock.patch.object(sys, "argv", ["bertram", *map(str, words)]),
        mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")),
        mock.patch.dict(os.environ, {"COLUMNS": "200"}),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    return Outcome(code, out.getvalue(), err.getvalue())


def spawn(*words: object, stdin: bytes = b"", cwd: Path | None = None, **environment: str) -> Outcome:
    """Run a command in a separate process."""
    process = subprocess.run(
        [sys.executable, "-m", "bertram", *map(str, words)],
        input=stdin,
        capture_output=True,
        cwd=cwd,
        env={**os.environ, "COLUMNS": "100", **environment},
        timeout=300,
        check=False,
    )
    return Outcome(process.returncode, process.stdout.decode(), process.stderr.decode())
