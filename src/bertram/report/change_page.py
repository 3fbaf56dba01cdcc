"""The page of a study of words over time."""

from collections.abc import Iterator, Sequence
from html import escape

from markupsafe import Markup

from bertram.report.drawing import svg
from bertram.report.page import Cell, Column, Page, Picture, Section, Table, Tile, interval_bar, shown, shown_interval
from bertram.report.plots import named_points, ranking
from bertram.report.sanity_checks import Finding
from bertram.semantic_change.gold import what_words_can_tell
from bertram.semantic_change.measures import LABELS, MEASURES
from bertram.semantic_change.study import ChangeStudy, Estimate, Exemplar, GoldComparison, WordChange

CONTEXT = 160  # characters of a sentence on each side of the target
ROW = 17  # px of a word in the ranking
WIDTH, RADIUS, BAR, BAR_LABEL = 360, 3.2, 30, 90  # px


def change_page(study: ChangeStudy) -> Page:
    """Everything that is known of the words."""
    sections = [_ranking_section(study), _measures_section(study)]
    if study.gold is not None:
        sections.append(_gold_section(study, study.gold))
    sections += [_word_section(study, word) for word in study.words]
    return Page(
        title="Words over time",
        kind="change between periods",
        facts=list(_facts(study)),
        findings=list(_findings(study)),
        sections=sections,
        tiles=list(_tiles(study)),
        footer="Made by bertram change. This file needs nothing else: no network, no scripts.",
        findings_title="Before you read the measures",
    )


def _facts(study: ChangeStudy) -> Iterator[str]:
    settings = study.settings
    yield f"encoder {study.encoder}"
    yield "all layers" if not settings.layers else f"layers {settings.layer_name}"
    yield f"windows of {settings.window} tokens"
    yield f"{len(study.words)} words, {sum(sum(word.counts.values()) for word in study.words):,} usages"
    yield f"periods {', '.join(study.periods)}"


def _findings(study: ChangeStudy) -> Iterator[Finding]:
    if study.gold is not None:
        yield Finding("note", "few words", what_words_can_tell(study.gold.correlations, study.gold.differences))
        if study.gold.unknown_words:
            yield Finding("warning", "words of gold without a measure", ", ".join(study.gold.unknown_words))
    if study.left_out:
        text = "; ".join(f"{word}: {why}" for word, why in study.left_out.items())
        yield Finding("warning", "words left out", text)
    if study.rejected:
        shown_rows = "; ".join(study.rejected[:5])
        remainder = f"; and {len(study.rejected) - 5} more" if len(study.rejected) > 5 else ""
        yield Finding("warning", "rows that were not used", f"{len(study.rejected)}: {shown_rows}{remainder}")
    if study.not_found:
        text = ", ".join(f"{word} in {count}" for word, count in study.not_found.items())
        yield Finding("note", "rows without the word", text)
    yield Finding(
        "note",
        "what an interval covers",
        "Intervals and tests take the usages of a period as independent draws from its language. Several usages from "
        "one source, or periods with other kinds of source, make a difference that is not a change of meaning. The "
        "usage types are taken as given.",
    )


def _tiles(study: ChangeStudy) -> Iterator[Tile]:
    estimates = [change.measures["apd-cosine"] for word in study.words for change in word.changes]
    if any(estimate.p_holm is not None for estimate in estimates):
        changed = sum(estimate.p_holm is not None and estimate.p_holm < 0.05 for estimate in estimates)
        yield Tile("changes of usage", f"{changed} of {len(estimates)}", "permutation test, Holm, 5 %", Markup(""))
    if study.gold is not None:
        chosen = [estimate for estimate in study.gold.correlations if estimate.layer == study.settings.layer_name]
        for estimate in sorted(chosen, key=lambda estimate: -estimate.value)[:3]:
            yield Tile(
                f"Spearman, {estimate.measure}",
                shown(estimate.value, 2),
                f"95 %: {shown_interval(estimate.ci95, 2)}",
                interval_bar(estimate.value, estimate.ci95),
                f"{estimate.words} words",
            )


def _ranking_section(study: ChangeStudy) -> Section:
    entries = [
        (_change_name(word, number, study), word.changes[number].measures["apd-cosine"])
        for word in study.words
        for number in range(len(word.changes))
    ]
    entries.sort(key=lambda entry: -entry[1].value)
    marks = [
        (name, estimate.value, estimate.ci95, estimate.p_holm is not None and estimate.p_holm < 0.05)
        for name, estimate in entries
    ]
    picture = Picture(
        "Average pairwise distance (cosine)",
        svg(ranking, 620, 60 + ROW * len(marks), marks),
        "A line is the 95 % interval over usages; filled where the periods differ (permutation test, Holm, 5 %).",
        tall=True,
    )
    return Section("ranking", "Which words changed", pictures=[picture])


def _change_name(word: WordChange, number: int, study: ChangeStudy) -> str:
    if len(study.periods) == 2:
        return word.word
    return f"{word.word}, {word.changes[number].earlier} → {word.changes[number].later}"


def _measures_section(study: ChangeStudy) -> Section:
    names = [name for name in MEASURES if any(name in change.measures for w in study.words for change in w.changes)]
    columns = [Column("word"), Column("usages", number=True), *(Column(name, number=True) for name in names)]
    rows: list[list[Cell]] = []
    for word in study.words:
        for number, change in enumerate(word.changes):
            counts = f"{word.counts[change.earlier]} + {word.counts[change.later]}"
            cells = [_estimate_cell(change.measures.get(name)) for name in names]
            rows.append([_change_name(word, number, study), counts, *cells])
        if len(word.changes) > 1:
            for label, values in (("mean", word.mean), ("maximum", word.largest)):
                rows.append([f"{word.word}, {label}", "", *(shown(values.get(name), 3) for name in names)])
    note = "; ".join(f"{name}: {LABELS[name]}" for name in names) + ". * differs at 5 % after Holm's correction."
    return Section("measures", "All measures", tables=[Table(columns, rows, note=note)])


def _estimate_cell(estimate: Estimate | None) -> Cell:
    if estimate is None:
        return "–"
    digits = 1 if abs(estimate.value) >= 10 else 3
    star = "*" if estimate.p_holm is not None and estimate.p_holm < 0.05 else ""
    if estimate.ci95 is None:
        return shown(estimate.value, digits)
    return _with_interval(f"{shown(estimate.value, digits)}{star}", estimate.ci95, digits)


def _gold_section(study: ChangeStudy, gold: GoldComparison) -> Section:
    chosen = [correlation for correlation in gold.correlations if correlation.layer == study.settings.layer_name]
    pictures = []
    if chosen:
        best = max(chosen, key=lambda correlation: correlation.value).measure
        words = [word for word in study.words if word.word in gold.values]
        points = [(word.word, gold.values[word.word], word.mean[best]) for word in words]
        pictures.append(
            Picture(f"{best} against gold", svg(named_points, 400, 340, points, "gold", best), LABELS[best])
        )
    tables = [_correlations_table(study, gold)]
    if gold.differences:
        tables.append(_differences_table(gold))
    return Section("gold", "Against gold", pictures=pictures, tables=tables)


def _correlations_table(study: ChangeStudy, gold: GoldComparison) -> Table:
    cells = {(correlation.measure, correlation.layer): correlation for correlation in gold.correlations}
    measures = list(dict.fromkeys(measure for measure, _ in cells))
    rows: list[list[Cell]] = []
    for layer in dict.fromkeys(layer for _, layer in cells):
        row: list[Cell] = [f"chosen: {layer}" if layer == study.settings.layer_name else f"layer {layer}"]
        for measure in measures:
            correlation = cells.get((measure, layer))
            row.append("–" if correlation is None else _with_interval(shown(correlation.value, 2), correlation.ci95, 2))
        rows.append(row)
    return Table(
        [Column("layer"), *(Column(measure, number=True) for measure in measures)],
        rows,
        title="Spearman's correlation with gold",
        note="Intervals are over words. A layer or measure that is chosen by this table, and reported with its figure, "
        "is chosen on the test data.",
    )


def _differences_table(gold: GoldComparison) -> Table:
    names = ("measures", "difference", "95 % interval", "p (Holm)")
    return Table(
        [Column(name, number=number > 0) for number, name in enumerate(names)],
        [
            [
                f"{difference.first} − {difference.second}",
                shown(difference.value, 2),
                shown_interval(difference.ci95, 2),
                shown(difference.p_holm, 3),
            ]
            for difference in gold.differences
        ],
        title="Is one measure better than another?",
        note="Paired bootstrap of the words.",
    )


def _with_interval(value: str, interval: tuple[float, float], digits: int) -> Markup:
    return Markup('{}<br><span class="muted">{}</span>').format(value, shown_interval(interval, digits))


def _word_section(study: ChangeStudy, word: WordChange) -> Section:
    marks = "; ".join(f"{mark}: {period}" for mark, period in zip(_period_marks(study), study.periods, strict=True))
    caption = f"First two principal components; colour: usage type; {marks}."
    pictures = [Picture("Map of the usages", usage_map(study, word), caption)]
    lead = f"{', '.join(f'{count} usages in {period}' for period, count in word.counts.items())}."
    if word.types:
        pictures.insert(0, Picture("Usage types by period", type_shares(study, word), "Share of the period's usages."))
        lead += f" {len(word.types)} usage types, silhouette {shown(word.silhouette, 2)}."
    rows = [
        [f"type {number}", exemplar.period, _sentence(exemplar)]
        for number, usage_type in enumerate(word.types, start=1)
        for exemplar in usage_type.exemplars
    ]
    columns = [Column("type"), Column("period"), Column("usages nearest to the type's centre", sentence=True)]
    tables = [Table(columns, rows)] if rows else []
    return Section(f"word-{study.words.index(word)}", word.word, lead=lead, pictures=pictures, tables=tables)


def _sentence(exemplar: Exemplar) -> Markup:
    """The text around the target, which is marked."""
    before, after = exemplar.text[: exemplar.start], exemplar.text[exemplar.end :]
    before = "… " + before[-CONTEXT:] if len(before) > CONTEXT else before
    after = after[:CONTEXT] + " …" if len(after) > CONTEXT else after
    return Markup("{}<mark>{}</mark>{}").format(before, exemplar.text[exemplar.start : exemplar.end], after)


def _period_marks(study: ChangeStudy) -> list[str]:
    """Marks of each period on the map."""
    if len(study.periods) == 2:
        return ["hollow", "filled"]
    return [f"size {number}" for number in range(1, len(study.periods) + 1)]


def usage_map(study: ChangeStudy, word: WordChange) -> str:
    """The usages as points: colour by type, fill (of more than two periods: size) by period."""
    left, top = min(point.x for point in word.map), min(point.y for point in word.map)
    width, height = (max(getattr(point, axis) for point in word.map) - low for axis, low in (("x", left), ("y", top)))
    scale = (WIDTH - 4 * RADIUS) / max(width, height, 1e-9)
    two = len(study.periods) == 2
    circles = []
    for point in word.map:
        x, y = 2 * RADIUS + scale * (point.x - left), 2 * RADIUS + scale * (point.y - top)
        colour = _colour(point.type)
        fill = "none" if two and not point.period else colour
        radius = RADIUS if two else RADIUS * (0.7 + 0.3 * point.period)
        circles.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="{fill}" stroke="{colour}"/>')
    return _svg(4 * RADIUS + scale * height, circles)


def type_shares(study: ChangeStudy, word: WordChange) -> str:
    """A bar for each period, divided by the shares of the usage types."""
    parts = []
    for row, period in enumerate(study.periods):
        y, x = row * (BAR + 8), float(BAR_LABEL)
        parts.append(_text(0, y + 19, period))
        for number, usage_type in enumerate(word.types):
            share = usage_type.counts[period] / max(word.counts[period], 1)
            width = (WIDTH - BAR_LABEL) * share
            colour = _colour(number)
            parts.append(f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{colour}"/>')
            if width > 34:
                parts.append(_text(x + width / 2 - 14, y + 19, f"{100 * share:.0f} %", "var(--card)"))
            x += width
    bottom = len(study.periods) * (BAR + 8) + 14
    for number in range(len(word.types)):
        parts.append(f'<rect x="{number * 36}" y="{bottom - 9}" width="9" height="9" fill="{_colour(number)}"/>')
        parts.append(_text(number * 36 + 13, bottom, str(number + 1)))
    return _svg(bottom + 4, parts)


def _colour(number: int) -> str:
    return f"var(--series-{number % 8 + 1})"


def _text(x: float, y: float, text: str, colour: str = "var(--muted)") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" style="font:12px var(--sans)" fill="{colour}">{escape(text)}</text>'


def _svg(height: float, parts: Sequence[str]) -> str:
    size = f'viewBox="0 0 {WIDTH} {height:.0f}" style="max-width:{WIDTH}px"'
    return f'<svg {size} aria-hidden="true">{"".join(parts)}</svg>'
