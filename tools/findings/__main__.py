"""Write docs/findings.md with its picture, and the findings of the front page: `python -m tools.findings`."""

from pathlib import Path

from bertram.report.forest import forest_grid
from tools import RESULTS, ROOT, take_no_arguments
from tools.findings.page import PICTURE, Findings, page, summary
from tools.findings.picture import panels
from tools.markdown import between

MARK = "findings"


def write(results: Path = RESULTS, root: Path = ROOT) -> None:
    """Write the page and its picture below docs/, and the lines between the marks of README.md.

    Args:
        results: folder of the results.
        root: folder of README.md and docs/.
    """
    findings = Findings.read(results)
    drawn = {} if findings.study is None else panels(findings.study, findings.equal_time)
    picture = root / "docs" / PICTURE
    if drawn and findings.study is not None:
        picture.parent.mkdir(parents=True, exist_ok=True)
        picture.write_bytes(forest_grid(drawn, findings.study.smallest_effect))
    else:
        picture.unlink(missing_ok=True)
    (root / "docs" / "findings.md").write_text(page(findings, drawn), encoding="utf-8")
    front = root / "README.md"
    lines = "\n\n".join(summary(findings, "docs/"))
    front.write_text(between(front.read_text(encoding="utf-8"), MARK, lines), encoding="utf-8")


if __name__ == "__main__":
    take_no_arguments(__doc__)
    write()
