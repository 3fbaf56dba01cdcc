"""One process at a time in a run directory."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from bertram.errors import RunError
from bertram.runs.typed_json import one_line

LOCKS = ".locks"
LOCK = ".lock"
SHARED_LOCK = ".shared.lock"  # not that of a run, which its training holds from beginning to end


@contextmanager
def run_lock(path: Path) -> Iterator[None]:
    """Hold a run directory while it is written; it is made if it is missing, and removed again if it stays empty.

    The lock is the file ``.lock`` in it, which says who holds it, and ends with its process, however that ends. Where
    the operating system or the disk has no locks, nothing is held.

    Args:
        path: path of the run directory.

    Raises:
        RunError: another process holds it, or the directory cannot be made.
    """
    is_new = not path.exists()
    file = _locked(path)
    try:
        yield
    finally:
        if file is not None:
            with suppress(OSError):
                (path / LOCK).unlink()
            file.close()
        if is_new:
            with suppress(OSError):  # it is not empty
                path.rmdir()


def remove_remnant(path: Path) -> None:
    """Remove the lock file that a killed process has left in a finished run."""
    if (path / LOCK).exists():
        with suppress(RunError), run_lock(path):  # else it is about to end
            pass


def _locked(path: Path) -> IO[bytes] | None:
    """The locked file of a run directory; None where there are no locks."""
    try:
        import fcntl  # noqa: PLC0415 - Linux and macOS have it
    except ModuleNotFoundError:
        return None
    while True:
        try:
            path.mkdir(parents=True, exist_ok=True)
            file = (path / LOCK).open("a+b", buffering=0)
        except OSError as error:
            raise RunError(f"{path}: cannot be made: {error.strerror}") from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(file)
            file.close()
            raise RunError(f"{path}: is being trained by {one_line(holder)}; wait for its end") from None
        except OSError:  # a network disk without locks
            file.close()
            return None
        if _is_same_file(file, path / LOCK):
            with suppress(OSError):  # a full disk; then the holder has no name
                file.truncate(0)
                file.write(f"process {os.getpid()} on {socket.gethostname()}".encode())
            return file
        file.close()  # its holder has removed it meanwhile


def _holder(file: IO[bytes]) -> str:
    """Text that the holder of a lock has written, which it does right after it takes the lock."""
    for _ in range(20):
        file.seek(0)
        if name := file.read(200).decode(errors="replace").strip():
            return name
        time.sleep(0.05)
    return "another process"


def _is_same_file(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


@contextmanager
def exclusive(directory: Path) -> Iterator[None]:
    """Hold a directory that several runs write, while one of its files is replaced; the others wait.

    Where the operating system or the disk has no locks, nothing is held.

    Args:
        directory: the directory; it is made if it is missing.

    Raises:
        RunError: the directory cannot be written.
    """
    try:
        import fcntl  # noqa: PLC0415 - Linux and macOS have it
    except ModuleNotFoundError:
        yield
        return
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = (directory / SHARED_LOCK).open("a")
    except OSError as error:
        raise RunError(f"{directory}: cannot be written: {error.strerror}") from None
    with file:
        with suppress(OSError):  # a network disk without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def held_file(path: Path) -> Iterator[None]:
    """Hold a file until it is written and renamed; others that write a file of this name wait.

    Where the operating system or the disk has no locks, nothing is held.

    Args:
        path: path of the file; it is made if it is missing.

    Raises:
        OSError: it cannot be written.
    """
    try:
        import fcntl  # noqa: PLC0415 - Linux and macOS have it
    except ModuleNotFoundError:
        yield
        return
    while True:
        file = path.open("ab")
        with suppress(OSError):  # a network disk without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        if _is_same_file(file, path):
            break
        file.close()  # its holder has renamed it meanwhile
    with file:
        yield


@contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Lock a run directory; the lock ends with the process, however that ends.

    The lock is a file in the folder ``.locks`` beside the run directory, which need not exist yet. It also keeps out
    processes of other machines that share the folder.

    Args:
        path: path of the run directory.

    Yields:
        True with the lock; False if another process holds it.

    Raises:
        RunError: the folder cannot be written, or the operating system has no such locks.
    """
    try:
        import fcntl  # noqa: PLC0415 - Linux and macOS have it
    except ModuleNotFoundError:
        raise RunError(
            "a results folder needs file locks, which only Linux and macOS have; use bertram train"
        ) from None
    lock = path.parent / LOCKS / path.name
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = lock.open("a")
    except OSError as error:
        raise RunError(f"{path.parent}: cannot be written: {error.strerror}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
