"""The command ``bertram``, and ``python -m bertram``."""

import sys


def main() -> None:
    """Run a command; an interruption while its modules are loaded gives no traceback either."""
    try:
        from bertram.cli.main import main as run_and_exit  # noqa: PLC0415 - takes a quarter of a second

        run_and_exit()
    except KeyboardInterrupt:
        sys.stderr.write("bertram: interrupted\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
