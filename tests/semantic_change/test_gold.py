from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from bertram.errors import DataError
from bertram.semantic_change.gold import compare_measures, rank_correlation, read_gold, what_words_can_tell


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_gold_is_two_columns_or_a_table(tmp_path: Path) -> None:
    expected = {"bag_nn": 0.1, "cell_nn": 0.75}
    assert read_gold(write(tmp_path / "a.txt", "bag_nn\t0.1\ncell_nn\t0.75\n")) == expected
    assert read_gold(write(tmp_path / "b.csv", "word,gold\nbag_nn,0.1\ncell_nn,0.75\n")) == expected
    table = "lemma\tgrouping\tchange_graded\nbag_nn\t1_2\t0.1\ncell_nn\t1_2\t0.75\n"
    assert read_gold(write(tmp_path / "c.csv", table)) == expected
    for header in ('"word","change_graded"', "word, change_graded"):
        assert read_gold(write(tmp_path / "d.csv", f'{header}\n"bag_nn",0.1\n"cell_nn",0.75\n')) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("bag high\ncell 0.2\n", "1: 'high' is not a finite number"),
        ("bag 0.1\nbag 0.2\n", "2: 'bag' occurs twice"),
        ("bag 0.1\ncell\n", "2: '' is not a finite number"),
        ("bag 0.1\ncell nan\n", "2: 'nan' is not a finite number"),
        ("a,b,c\n1,2,3\n", "needs lines of a word and a number"),
    ],
)
def test_a_wrong_line_of_gold_is_named(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        read_gold(write(tmp_path / "gold.txt", text))


def test_the_correlation_is_spearmans_with_ties() -> None:
    generator = np.random.default_rng(0)
    x, y = generator.integers(0, 9, 30), generator.integers(0, 9, 30)
    found = rank_correlation("prt", "sum", x.tolist(), y.tolist())
    assert found is not None
    assert found.value == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "r"), [(37, 0.5), (46, 0.7), (20, 0.0)])
def test_the_interval_covers_the_true_rank_correlation_in_about_95_percent(n: int, r: float) -> None:
    true = 6 / np.pi * np.arcsin(r / 2)  # Spearman's correlation of a normal distribution with Pearson's r
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(1000):
        x, y = generator.multivariate_normal([0, 0], [[1, r], [r, 1]], n).T
        found = rank_correlation("prt", "sum", x.tolist(), y.tolist())
        assert found is not None
        covered += found.ci95[0] <= true <= found.ci95[1]
    assert 0.93 <= covered / 1000 <= 0.97


@pytest.mark.parametrize(("values", "gold"), [([1, 2, 3], [1, 2, 3]), ([1, 1, 1, 1, 1], [1, 2, 3, 4, 5])])
def test_no_correlation_of_too_few_words_or_of_a_constant(values: list[float], gold: list[float]) -> None:
    assert rank_correlation("prt", "sum", values, gold) is None


def test_a_measure_or_gold_that_does_not_vary_is_not_compared() -> None:
    values = {"a": [1.0, 2, 3, 4], "b": [1.0, 3, 2, 4], "c": [1.0, 1, 1, 1]}
    assert compare_measures(values, [1.0, 1, 1, 1], np.random.default_rng(0)) == []
    (pair,) = compare_measures(values, [1.0, 2, 4, 3], np.random.default_rng(0))
    assert (pair.first, pair.second) == ("a", "b")


@pytest.mark.slow
def test_measures_that_follow_gold_equally_well_are_found_to_differ_in_at_most_5_percent() -> None:
    generator = np.random.default_rng(0)
    found = 0
    for _ in range(100):
        gold = generator.normal(size=37)
        values = {name: list(gold + generator.normal(size=37)) for name in ("a", "b")}
        found += compare_measures(values, list(gold), generator)[0].p < 0.05
    assert found <= 11  # 5 % give more with a chance of 0.5 %


def test_a_better_measure_is_told_from_a_useless_one() -> None:
    generator = np.random.default_rng(0)
    gold = generator.normal(size=40)
    values = {"good": list(gold + 0.2 * generator.normal(size=40)), "useless": list(generator.normal(size=40))}
    (difference,) = compare_measures(values, list(gold), generator)
    assert difference.ci95[0] > 0.3
    assert difference.p_holm < 0.01
    correlation = rank_correlation("good", "sum", values["good"], list(gold))
    assert correlation is not None
    assert "With 40 words" in what_words_can_tell([correlation], [difference])
