"""Whatever goes wrong, the user sees a line or two, the exit code, and the way to a traceback."""

import errno
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.common.commands import call

from bertram.cli import terminal
from bertram.cli.failures import explanation, run_command
from bertram.errors import BertramError, ConfigError

HINT = "\nRepeat the command with --debug for the traceback.\n"
HOSTILE = "a\x1b[31mred\x9b2J\x07\u202eb"


def outcome(error: BaseException, words: tuple[str, ...] = ()) -> tuple[int, str]:
    """Exit code and standard error of a command that raises an error."""

    def command() -> None:
        raise error

    stdout, stderr = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = io.StringIO(), io.StringIO()  # a command that cannot write redirects its output
    try:
        return run_command(command, words, debug=False), sys.stderr.getvalue()
    finally:
        sys.stdout.close()
        sys.stdout, sys.stderr = stdout, stderr


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (BertramError("the file is damaged"), "bertram: the file is damaged\n"),
        (ConfigError(["a", "b"]), "bertram: 2 problems:\n  - a\n  - b\n"),
        (KeyError("x"), f"bertram: unexpected error: KeyError: 'x'{HINT}"),
        (AssertionError(), f"bertram: unexpected error: AssertionError{HINT}"),
        (ValueError("first\nsecond\nthird"),
         f"bertram: unexpected error: ValueError: first{HINT}"),
        (PermissionError(errno.EACCES, "Permission denied", "a.csv"), "bertram: a.csv: Permission denied\n"),
        (OSError(errno.ENOSPC, "No space left on device"), "bertram: output: No space left on device\n"),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_an_error_is_explained_in_two_lines(error: Exception, message: str) -> None:
    assert outcome(error) == (1, message)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB.\nMore text"),
    ],
    ids=["Python", "processor", "GPU"],
)  # fmt: skip
def test_no_memory_is_said_with_a_remedy(error: Exception) -> None:
    assert explanation(error) == "out of memory; use smaller batches or a smaller encoder (--debug shows the traceback)"


def test_a_process_that_lost_another_one_points_to_its_message() -> None:
    error = RuntimeError("[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:544] Connection closed by peer [::1]:1")
    assert explanation(error) == "another process of this run has ended; its message has the reason"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("train", "--out", "runs/a", "--seed", "1"), "; continue with: bertram train --resume --out runs/a"),
        (("train", "--out=runs/a"), "; continue with: bertram train --resume --out runs/a"),
        (("train",), "; continue with: bertram train --resume --out RUN"),
        (("reproduce",), "; repeat the command to continue"),
        (("evaluate", "RUN"), ""),
        ((), ""),
    ],
    ids=str,
)
def test_an_interrupted_command_says_how_to_continue(words: tuple[str, ...], hint: str) -> None:
    assert outcome(KeyboardInterrupt(), words) == (130, f"bertram: interrupted{hint}\n")


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Python's own answer to SIGINT, whatever a shell or another package has put in its place."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before or signal.SIG_DFL)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_says_how_to_continue(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("bertram.training.train.train", lambda *_, **__: signal.raise_signal(signal.SIGINT))
    ended = call("train", "--data", "sample", "--out", tmp_path / "run")
    hint = f"continue with: bertram train --resume --out {tmp_path / 'run'}"
    assert (ended.code, ended.err) == (130, f"bertram: interrupted; {hint}\n")


@pytest.mark.slow
@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("begun", [False, True])
def test_ctrl_c_gives_no_traceback(begun: bool, tiny_encoder: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ["--data", "sample", "--encoder", str(tiny_encoder), "--sampling.epochs", "1000", "--out", str(out)]
    command = [sys.executable, "-m", "bertram", "train", *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        wanted = out / "metrics.jsonl" if begun else out
        while not wanted.exists() and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=300)
    assert process.returncode in (130, -signal.SIGINT)  # Python ends so if exec was interrupted; a shell says 130
    assert "Traceback" not in err
    if begun:
        assert err.endswith(f"bertram: interrupted; continue with: bertram train --resume --out {out}\n")


def test_debug_lets_every_error_through() -> None:
    def command() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        run_command(command, (), debug=True)


def run_with(
    redirection: str, *words: object, stdin: bytes = b"", **environment: str
) -> subprocess.CompletedProcess[bytes]:
    """Run a command in a shell, with a redirection such as ``>&-``."""
    line = f'exec {sys.executable} -m bertram "$@" {redirection}'
    return subprocess.run(
        ["sh", "-c", line, "sh", *map(str, words)],
        input=stdin,
        capture_output=True,
        check=False,
        timeout=300,
        env={**os.environ, **environment},
    )


def test_a_closed_standard_output_is_said_before_anything_is_done() -> None:
    ended = run_with(">&-", "--help")
    expected = b"bertram: standard output is closed; send it to a file or to /dev/null\n"
    assert (ended.returncode, ended.stderr) == (1, expected)


@pytest.mark.slow
def test_a_closed_standard_error_and_input_do_no_harm(tmp_path: Path) -> None:
    ended = run_with("2>&-", "evaluate", tmp_path / "none")
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, b"", b"")


@pytest.mark.slow
def test_a_closed_standard_input_is_said(tiny_runs: Path) -> None:
    ended = run_with("<&-", "predict", tiny_runs / "cross-0", "--task", "sst", "--engine", "torch")
    assert (ended.returncode, ended.stderr) == (1, b"bertram: standard input is closed; name a file\n")


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_what_a_terminal_cannot_encode_is_replaced(encoding: str, tiny_runs: Path) -> None:
    ended = run_with("", "train", "--help", PYTHONIOENCODING=encoding)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert b"factor of the smoothness penalty" in ended.stdout
    ended = run_with("", "evaluate", tiny_runs / "cross-0", PYTHONIOENCODING=encoding)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert "-" in ended.stdout.decode(encoding)


@pytest.mark.slow
def test_predictions_stay_json_in_any_encoding(tiny_runs: Path) -> None:
    lines = '{"id": "é\u2028\x9b", "text": "fine"}\n'.encode()
    for encoding in ("ascii", "utf-8"):
        ended = run_with("", "predict", tiny_runs / "cross-0", "--task", "sst", stdin=lines, PYTHONIOENCODING=encoding)
        assert (ended.returncode, ended.stderr) == (0, b"")
        assert b"\xc2\x9b" not in ended.stdout
        assert json.loads(ended.stdout.decode(encoding))["id"] == "é\u2028\x9b"


def test_control_characters_of_data_are_shown_not_sent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = "a␛[31mred\ufffd2J␇\ufffdb"
    assert terminal.printable(f"{HOSTILE}\n\tend") == f"{shown}\n\tend"
    terminal.say(HOSTILE)
    assert capsys.readouterr().err == f"{shown}\n"
    file = tmp_path / "gold.csv"
    file.write_text(f"id,sentence,sentiment\n1,fine,{HOSTILE}\n", encoding="utf-8")
    (tmp_path / "predictions.csv").write_text("id,value\n1,1\n")
    for words in (
        ("score", tmp_path / "predictions.csv", file, "--task", "sst", "--allow-rejects"),
        ("data", "check", tmp_path / HOSTILE),
        ("evaluate", tmp_path / HOSTILE),
    ):
        _, out, err = call(*words)
        assert not set(out + err) & set("\x1b\x9b\x07\u202e")
        assert "[31m" in out + err


@pytest.mark.parametrize("stderr", [False, True])
def test_control_characters_in_tables_are_shown_while_colours_work(
    stderr: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rich.table import Table

    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr" if stderr else "stdout", stream)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    table = Table()
    table.add_column(HOSTILE)
    table.add_row(HOSTILE, style="red")
    terminal.console(stderr=stderr).print(table)
    text = stream.getvalue()
    assert "\x1b[31mred" not in text
    assert "\x1b[31m" in text  # the style of the row
    assert not set(text) & set("\x9b\x07\u202e")
