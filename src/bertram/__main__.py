"""``python -m bertram``."""

from bertram.cli.main import main

main()
