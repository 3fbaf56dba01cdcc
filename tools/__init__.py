"""What typesets the records below results/: tables, pages and pictures."""

import argparse
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"


def take_no_arguments(description: str | None) -> None:
    """Answer ``--help`` with a description, and refuse any other argument."""
    argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
