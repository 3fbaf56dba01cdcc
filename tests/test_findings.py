"""The page of findings says what records of known effects hold, and gives no verdict that they do not allow."""

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bertram.comparison.outcomes import Outcome, RunScore
from bertram.experiments import ablation
from bertram.experiments.ablation_table import AblationTable, Cell, DesignTable, FactorText
from bertram.experiments.design import Design, fractional, named_levels, one_at_a_time, sign
from bertram.experiments.effects import effects
from bertram.experiments.equal_time import StepCosts, write_step_costs
from bertram.experiments.forecast import EffectForecast, Forecast, Noise
from tools import RESULTS, ROOT
from tools.findings.__main__ import write
from tools.findings.claims import TECHNIQUES
from tools.findings.evidence import effect, progress, size, verdict_words
from tools.findings.page import STUDY, STUDY_EQUAL_TIME, Findings, page, summary
from tools.findings.picture import panels
from tools.findings.tables import interactions

FACTORS = [technique.factor for technique in TECHNIQUES]
DESIGN = fractional(FACTORS, 5)
OUTCOMES = {
    "overall": "overall", "sst": "accuracy", "quora": "accuracy", "sts": "pearson",
    "sst nll": "nll", "sst brier": "brier", "quora nll": "nll", "quora brier": "brier", "sts mse": "mse",
}  # fmt: skip
TRUTH = {"smart": 0.0, "bregman": 0.0, "pcgrad-step": 0.001, "mse": -0.02, "cross": 0.05}
NOISE = {"smart": 0.0006, "bregman": 0.009, "pcgrad-step": 0.0006, "mse": 0.001, "cross": 0.004}  # sd over seeds
FORECAST = Forecast(
    "9 runs of 3 configurations at other budgets", 3, 0.005, 9.1,
    tuple(
        EffectForecast(factor, "overall", Noise(0.0023, 2, 0.001, own=False), 0.014, (4, 6), (3, 4), 0.002)
        for factor in FACTORS
    ),
)  # fmt: skip


def table_of(
    design: Design = DESIGN,
    *,
    seeds: int = 3,
    absent: Collection[tuple[int, int]] = (),
    truth: Mapping[str, float] = TRUTH,
) -> AblationTable:
    """The table of an ablation with known effects.

    Args:
        design: design of the ablation.
        seeds: number of seeds.
        absent: cells (by number) and seeds of the runs that are not there.
        truth: factor -> effect on every outcome; of a loss with the opposite sign.
    """
    generator = np.random.default_rng(0)
    spread = {
        seed: {factor: generator.normal(scale=NOISE.get(factor, 0.001)) for factor in design.factors}
        for seed in range(seeds)
    }
    runs = {
        str(cell): {seed: f"{cell}-{seed}" for seed in range(seeds) if (cell, seed) not in absent}
        for cell in range(len(design.cells))
    }
    outcomes = []
    for name, metric in OUTCOMES.items():
        direction = -1 if metric in ("nll", "mse", "brier") else 1
        scores = {
            run: RunScore(
                0.7
                + direction
                * sum(
                    (truth[factor] + spread[seed][factor]) * sign(design.cells[int(cell)], 1 << number) / 2
                    for number, factor in enumerate(design.factors)
                ),
                {"task": np.full(4, 0.0001) * int(cell)},
                hash((cell, seed, name)),
            )
            for cell, by_seed in runs.items()
            for seed, run in by_seed.items()
        }
        outcomes.append(Outcome(name, name.split()[0], metric, scores, {}, 4))
    return AblationTable(
        title="What each factor is worth",
        seeds=list(range(seeds)),
        primary="overall",
        smallest_effect=0.005,
        design=DesignTable(
            kind=design.kind,
            notes=design.in_words(),
            factors=[FactorText(factor, factor) for factor in design.factors],
            cells=[Cell(levels, runs[str(number)], {}) for number, levels in enumerate(named_levels(design))],
        ),
        power=FORECAST,
        effects=effects(design, outcomes, runs) if any(runs.values()) else [],
    )


def text_of(table: AblationTable | None, results: Path = Path("nowhere")) -> str:
    findings = Findings(results, table)
    return page(findings, {} if table is None else panels(table, findings.equal_time))


def words(table: AblationTable, factor: str) -> str:
    return verdict_words(effect(table, factor, "overall"))


def test_a_complete_study_has_the_verdicts_of_its_truth() -> None:
    table = table_of()
    expected = {"smart": "equivalent", "pcgrad-step": "equivalent", "mse": "worse", "cross": "better"}
    for factor, verdict in expected.items():
        assert words(table, factor).startswith(f"**{verdict}**")
    assert re.fullmatch(r"undecided; about \d+ more seeds would decide", words(table, "bregman"))
    text = text_of(table)
    assert "48 of 48 runs" in text
    assert "it is the noise of other differences" in text
    assert re.search(r"- pairs in one pass with a linear head: \+0\.0\d\d \[.*\], \*\*better\*\*", text)
    assert all(technique.title in text for technique in TECHNIQUES)
    headings = [f"{name}, equal steps" for name in ("overall", "sentiment", "paraphrase", "similarity")]
    assert list(panels(table, None)) == headings


def test_an_interaction_is_twice_its_contrast_and_so_is_what_it_is_smaller_than() -> None:
    table = table_of()
    rows = [replace(row, order=2) for row in table.effects if (row.name, row.outcome) == ("smart", "overall")]
    assert "| **equivalent**, less than 0.01 |" in interactions(replace(table, effects=rows))


def test_with_one_seed_effects_stand_without_interval_and_verdict() -> None:
    table = table_of(seeds=1)
    text = text_of(table)
    assert size(effect(table, "cross", "overall")).endswith(", 1 seed")
    assert words(table, "cross") == "no verdict"
    assert "No technique has a verdict yet" in text
    for verdict in ("**better**", "**worse**", "**equivalent**", "undecided"):
        assert verdict not in text
    assert all(mark.interval is None and not mark.strong for marks in panels(table, None).values() for mark in marks)


def test_a_missing_cell_is_named_and_costs_its_seed() -> None:
    table = table_of(absent={(3, 2)})
    there = progress(table)
    assert (there.finished, there.planned, list(there.complete), there.decides) == (47, 48, [0, 1], False)
    assert there.missing == {2: ["smart+bregman+cross"]}
    assert "still missing with seed 2: smart+bregman+cross" in text_of(table)
    assert words(table, "cross") == "no verdict"
    assert size(effect(table, "cross", "overall")).endswith(", 2 seeds")


def test_a_study_that_has_only_begun_says_that_nothing_is_known() -> None:
    begun = table_of(absent={(cell, seed) for cell in range(16) for seed in range(3)} - {(0, 0), (1, 0)})
    text = text_of(begun)
    assert "Nothing is known yet" in text
    assert "2 of 48 runs are finished" in text
    assert "seed 1: 16, seed 2: 16)" in text
    assert "| technique | overall |" not in text
    assert words(begun, "smart") == "no estimate: runs are missing"
    assert not panels(begun, None)
    assert next(iter(summary(Findings(Path("nowhere"), None)))).startswith("No run of the study is finished")
    assert "No run of the study is finished" in text_of(None)


def test_techniques_that_are_run_alone_need_two_configurations_each() -> None:
    alone = table_of(one_at_a_time(FACTORS), absent={(1, seed) for seed in range(3)})
    assert "An effect is a contrast of all" not in text_of(alone)
    assert words(alone, FACTORS[0]) == "no estimate: runs are missing"
    assert words(alone, FACTORS[-1]).startswith("**better**")


@pytest.mark.slow
def test_five_seeds_may_decide_what_three_leave_open() -> None:
    truth = {**TRUTH, "bregman": 0.0}
    open_, more = (effect(table_of(seeds=seeds, truth=truth), "bregman", "overall") for seeds in (3, 60))
    assert open_ is not None
    assert more is not None
    assert open_.verdict.decision == "undecided"
    assert more.verdict.decision == "equivalent"


@pytest.mark.slow
def test_the_page_is_written_with_its_picture_and_the_front_page(tmp_path: Path) -> None:
    results, root = tmp_path / "results", tmp_path
    (root / "docs").mkdir()
    (root / "README.md").write_text("# Title\n\n<!-- findings: begin -->\n<!-- findings: end -->\n\nEnd\n")
    ablation.write(results / STUDY, table_of())
    alone = one_at_a_time(["smart", "bregman", "pcgrad-step", "mse", "bi"])
    equal_time = table_of(alone, truth={**TRUTH, "bi": -0.04})
    ablation.write(results / STUDY_EQUAL_TIME, equal_time)
    write_step_costs(results / STUDY_EQUAL_TIME, StepCosts("none", {"none": 1.0, "smart": 1.75, "bi": 0.8}))
    write(results, root)
    text = (root / "docs" / "findings.md").read_text()
    assert "| SMART's penalty on sentiment | 1.75 |" in text
    assert "| pairs in one pass with a linear head | 1.25 | +0.0" in text
    check_cross_is_the_reverse_of_bi(equal_time)
    front = (root / "README.md").read_text()
    assert front.startswith("# Title\n\n<!-- findings: begin -->\nEffect on the overall score, 3 seeds")
    assert front.count("\n- ") == len(TECHNIQUES)
    assert (root / "docs" / "pictures" / "findings.png").stat().st_size > 10_000
    ablation.write(results / STUDY, table_of(absent={(0, 0), (1, 1), (2, 2)}))
    (results / STUDY_EQUAL_TIME / "ablation.json").unlink()
    write(results, root)
    assert not (root / "docs" / "pictures" / "findings.png").exists()
    assert "pictures/findings.png" not in (root / "docs" / "findings.md").read_text()


def check_cross_is_the_reverse_of_bi(table: AblationTable) -> None:
    row = next(row for row in table.effects if (row.name, row.outcome) == ("bi", "overall"))
    cross = effect(table, "cross", "overall")
    assert row.effect is not None
    assert row.ci95_new is not None
    assert cross is not None
    assert cross.effect == -row.effect
    assert cross.ci95_new == (-row.ci95_new[1], -row.ci95_new[0])
    assert cross.verdict == replace(row.verdict, decision=cross.verdict.decision)
    assert (cross.verdict.decision, row.verdict.decision) == ("better", "worse")


def test_the_page_in_docs_is_that_of_the_records() -> None:
    findings = Findings.read(RESULTS)
    assert findings.study is not None
    text = page(findings, panels(findings.study, findings.equal_time))
    assert (ROOT / "docs" / "findings.md").read_text(encoding="utf-8") == text, "run make tables"


def test_the_study_s_claims_are_its_published_differences() -> None:
    published = {technique.factor: technique.published() for technique in TECHNIQUES}
    assert published["smart"]["overall"] == pytest.approx(0.590 - 0.587)
    assert published["pcgrad-step"]["overall"] == pytest.approx(0.610 - 0.595)
    assert published["mse"]["sts"] == pytest.approx(0.587 - 0.554)
    assert published["cross"] == {}
