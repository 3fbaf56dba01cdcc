"""One process at a time in a run directory."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bertram.errors import RunError

LOCKS = ".locks"


@contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Lock a run directory; the lock ends with the process, however that ends.

    The lock is a file in the folder ``.locks`` beside the run directory, which need not exist yet. It also keeps out
    processes of other machines that share the folder.

    Args:
        path: run directory.

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
        file = lock.open("w")
    except OSError as error:
        raise RunError(f"{path.parent}: cannot be written: {error.strerror}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
