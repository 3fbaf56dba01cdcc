"""Files of `bertram change`: change.json with all results, and words.csv for spreadsheets."""

import csv
import io
from dataclasses import asdict
from pathlib import Path

from bertram.runs.files import write_json, write_text
from bertram.semantic_change.measures import MEASURES
from bertram.semantic_change.study import ChangeStudy

STUDY = "change.json"
TABLE = "words.csv"
FORMAT = 1


def write_study(study: ChangeStudy, directory: Path) -> None:
    """Write change.json and words.csv."""
    write_json(directory / STUDY, {"format": FORMAT, **asdict(study)})
    write_text(directory / TABLE, _table(study))


def _table(study: ChangeStudy) -> str:
    """A row for each word and pair of periods."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    parts = ("", "_low", "_high", "_p", "_p_holm")
    writer.writerow(
        ["word", "earlier", "later", "usages_earlier", "usages_later", "usage_types"]
        + [f"{name}{part}" for name in MEASURES for part in parts]
    )
    for word in study.words:
        for change in word.changes:
            row: list[object] = [word.word, change.earlier, change.later]
            row += [word.counts[change.earlier], word.counts[change.later], len(word.types)]
            for name in MEASURES:
                estimate = change.measures.get(name)
                row += (
                    ["", "", "", "", ""]
                    if estimate is None
                    else [estimate.value, *(estimate.ci95 or ("", "")), estimate.p, estimate.p_holm]
                )
            writer.writerow(row)
    return stream.getvalue()
