"""A tiny data set of the project's own sentences, so that everything runs without a download.

Three tasks in the course's file format: sentiment (`ids-sst-*.csv`), question pairs (`quora-*.csv`)
and sentence similarity (`sts-*.csv`). Every sentence was written for this project, none comes from a
corpus; the names only say which task a file belongs to. The set is a toy: it shows that training,
evaluation and prediction work, and is far too small to compare methods. `README.md` beside the files
gives sizes, label balance and licence.
"""

from pathlib import Path


def directory() -> Path:
    """Return the folder that holds the sample's files, to be read like any data directory."""
    return Path(__file__).parent
