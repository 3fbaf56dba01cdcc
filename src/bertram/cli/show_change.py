"""A study of words over time on the terminal."""

from bertram.cli.show import plain_table
from bertram.cli.terminal import console, say
from bertram.semantic_change.gold import what_words_can_tell
from bertram.semantic_change.measures import MEASURES
from bertram.semantic_change.study import ChangeStudy, Estimate

SHOWN_WORDS = 20
COLUMNS = ("apd-cosine", "prt", "jsd", "entropy-difference")


def show_change(study: ChangeStudy) -> None:
    """The words that changed most, the correlations with gold, and what was left out."""
    out = console()
    table = plain_table("Change of usage, * differs at 5 % (permutation test, Holm)")
    table.add_column("word")
    if len(study.periods) > 2:
        table.add_column("periods")
    for name in COLUMNS:
        table.add_column(name, justify="right")
    table.add_column("types", justify="right")
    for word in study.words[:SHOWN_WORDS]:
        for change in word.changes:
            periods = [f"{change.earlier} → {change.later}"] if len(study.periods) > 2 else []
            cells = [_cell(change.measures.get(name)) for name in COLUMNS]
            table.add_row(word.word, *periods, *cells, str(len(word.types) or "–"))
    out.print(table)
    if len(study.words) > SHOWN_WORDS:
        out.print(f"{len(study.words) - SHOWN_WORDS} more words are in words.csv and on the page")
    if study.gold is not None:
        _show_gold(study)
    for name, why in study.left_out.items():
        say(f"{name} is left out: {why}")
    for line in study.rejected[:10]:
        say(line)
    if len(study.rejected) > 10:
        say(f"… and {len(study.rejected) - 10} more rows that were not used; all are in change.json")
    if study.not_found:
        say("rows without the word: " + ", ".join(f"{name} {count}" for name, count in study.not_found.items()))


def _cell(estimate: Estimate | None) -> str:
    if estimate is None:
        return "–"
    star = "*" if estimate.p_holm is not None and estimate.p_holm < 0.05 else ""
    interval = "" if estimate.ci95 is None else f" [{estimate.ci95[0]:.3f}, {estimate.ci95[1]:.3f}]"
    return f"{estimate.value:.3f}{star}{interval}"


def _show_gold(study: ChangeStudy) -> None:
    gold = study.gold
    assert gold is not None
    out = console()
    table = plain_table("Spearman's correlation with gold, 95 % interval over words")
    table.add_column("layer")
    names = [name for name in MEASURES if any(correlation.measure == name for correlation in gold.correlations)]
    for name in names:
        table.add_column(name, justify="right")
    for layer in dict.fromkeys(correlation.layer for correlation in gold.correlations):
        cells = {correlation.measure: f"{correlation.value:.2f} [{correlation.ci95[0]:.2f}, {correlation.ci95[1]:.2f}]"
                 for correlation in gold.correlations if correlation.layer == layer}  # fmt: skip
        table.add_row(layer, *(cells.get(name, "") for name in names))
    out.print(table)
    out.print(what_words_can_tell(gold.correlations, gold.differences))
    if gold.unknown_words:
        say(f"gold without measured change: {', '.join(gold.unknown_words)}")
    if gold.words_without_gold:
        say(f"measured without gold: {', '.join(gold.words_without_gold)}")
