"""A server in a process of its own on the loopback address, and its memory and processor time."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 60  # seconds until a server that was told to stop has ended


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        process: its process.
        host: host of its address.
        port: port of its address.
    """

    process: subprocess.Popen[str]
    host: str
    port: int

    def runs(self) -> bool:
        """Whether its process has not ended."""
        return self.process.poll() is None

    def resident_mib(self) -> float:
        """Resident memory in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024

    def processor_seconds(self) -> float:
        """Processor time of all its threads, in user and system mode."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def serving(run: Path, *options: str) -> Iterator[Server]:
    """A server of a run; it is told to stop at the end.

    Raises:
        SystemExit: the server did not start.
    """
    command = [sys.executable, "-m", "bertram", "serve", str(run), "--port", "0", *options]
    with (
        tempfile.TemporaryFile("w+") as errors,  # a pipe that nobody reads would stop the server when full
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        assert process.stdout is not None
        line = process.stdout.readline()
        address = next((word for word in line.split() if word.startswith("http://")), None)
        if address is None:
            process.wait(PATIENCE)
            errors.seek(0)
            raise SystemExit(f"the server did not start: {errors.read()}")
        host, _, port = address.removeprefix("http://").partition(":")
        server = Server(process, host, int(port))
        try:
            yield server
        finally:
            if server.runs():
                process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)
