"""Put the tables and the picture of the newest benchmarks into the pages of docs/."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tools import RESULTS, ROOT, take_no_arguments
from tools.comparison_tables import comparison_tables
from tools.engine_tables import engine_tables
from tools.family_tables import family_tables
from tools.growth_tables import PICTURE, draw, growth_tables
from tools.int8_tables import int8_tables
from tools.markdown import Record, between
from tools.serving_engine_tables import serving_engine_tables
from tools.serving_tables import serving_tables

DOCS = ROOT / "docs"


@dataclass(frozen=True)
class Section:
    """A section of a page that shows a record.

    Attributes:
        page: file name below docs/.
        mark: name of the marks around the section.
        records: pattern of the records' names below results/.
        tables: function from a record to the section's text.
    """

    page: str
    mark: str
    records: str
    tables: Callable[[Record], str]

    def newest(self) -> Path | None:
        """The newest record, a full one before a quick one."""
        paths = RESULTS.glob(self.records)
        return max(paths, key=lambda path: (not path.stem.endswith("quick"), path.stem), default=None)

    def record(self) -> Record | None:
        """The newest record."""
        path = self.newest()
        if path is None:
            return None
        record: Record = json.loads(path.read_text(encoding="utf-8"))
        return record

    def fill(self, folder: Path = DOCS) -> None:
        """Put the newest record into the page."""
        record = self.record()
        print(f"{self.page}, {self.mark}: {'no record' if record is None else 'filled'}")
        if record is not None:
            page = folder / self.page
            page.write_text(between(page.read_text(encoding="utf-8"), self.mark, self.tables(record)), encoding="utf-8")


COMPARISON = Section("performance.md", "benchmark", "benchmarks/[0-9]*.json", comparison_tables)
FAMILIES = Section("encoders.md", "families", "measurements/families.json", family_tables)
GROWTH = Section("performance.md", "growth", "benchmarks/growth-*.json", growth_tables)
SERVING = Section("serving.md", "serving", "serving/record.json", serving_tables)
SERVING_ENGINES = Section("serving.md", "serving engines", "serving/engines.json", serving_engine_tables)
ENGINES = Section("engines.md", "engines", "prediction/engines.json", engine_tables)
ENGINES_BESIDE = Section("performance.md", "engines", "prediction/engines.json", engine_tables)
INT8 = Section("engines.md", "int8", "prediction/int8-best.json", int8_tables)
SECTIONS = (COMPARISON, FAMILIES, GROWTH, SERVING, SERVING_ENGINES, ENGINES, ENGINES_BESIDE, INT8)


def main() -> None:
    """Put the newest records into the pages, and draw the picture of growth."""
    for section in SECTIONS:
        section.fill()
    growth = GROWTH.record()
    if growth is not None:
        draw(growth, DOCS / PICTURE)


if __name__ == "__main__":
    take_no_arguments(__doc__)
    main()
