"""The report: one file that needs nothing else, tells what the records say, and does not fall over what is missing."""

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from tests.common.records import record_of

from bertram import options, recipes, sample
from bertram.comparison.techniques import TechniqueDifference
from bertram.comparison.verdict import Decision, Reason, Verdict, untestable
from bertram.data.rows import read_rows
from bertram.errors import DataError, RunError
from bertram.evaluation.scoring import TaskOutputs, confusion_matrix, score_run
from bertram.evaluation.trivial_baselines import trivial_baselines
from bertram.experiments.effects import Measured
from bertram.experiments.forecast import EffectForecast, Forecast, Noise
from bertram.experiments.study_tables import FORM
from bertram.report import gradient_plots, gradients, plots
from bertram.report.drawing import css, svg
from bertram.report.forests import FAR, _forest
from bertram.report.outcomes import Library, Outcomes, RunView
from bertram.report.predictions import worst
from bertram.report.runs_sections import arms
from bertram.report.write import write_report
from bertram.runs.directory import Run, create, write_predictions
from bertram.runs.record import read_record, write_record
from bertram.runs.record_parts import DataFile, EncoderInfo, Merged, Seconds
from bertram.tasks import SST

LOOK = {"cosines": [[1.0, -0.5], [-0.5, 1.0]], "norms": [1.0, 2.0]}
UNUSED = {"cosines": [[None, None], [None, None]], "norms": [0.0, 0.0]}


def metrics(steps: int = 40) -> list[dict[str, Any]]:
    """Lines of a training with SMART, Bregman and looks at conflicts."""
    lines: list[dict[str, Any]] = []
    for step in range(2, steps + 1, 2):
        ascent = {"divergence_before": 1e-6, "divergence_after": 1e-4, "gradient_cosine": 0.8, "radius": 0.1}
        figures = {"loss": 1 / step, "smart/penalty": 0.01 / step, "bregman/penalty": 0.0}
        figures |= {f"smart/{name}": value for name, value in ascent.items()}
        lines.append({"step": step, "losses": {"sst": figures, "quora": {"loss": 0.7}}, "gradient_norm": 1.0 + step})
        look = {"tasks": ["sst", "quora"], **LOOK, "conflict_rate": 1.0, "layers": [LOOK] * 7 + [UNUSED]}
        lines.append({"step": step, "conflicts": look})
        if step % 20 == 0:
            lines.append({"step": step, "dev": {"sst": 0.3, "quora": 0.6, "sts": None}, "overall": 0.4, "seen": {}})
    return [*lines, {"step": steps, "warning": "surgery does nothing"}]


def make_run(path: Path, data: str = "sample", seed: int = 0, *, constant: bool = False, logged: bool = False) -> Run:
    """A finished run without a training: gold labels with noise as predictions, scored and recorded as usual."""
    config = options.change(recipes.baseline(), data=data, seed=seed, smart={"tasks": ["sst"]})
    run, generator = create(path, config), np.random.default_rng(seed)
    told, confusion, baselines = {}, {}, {}
    for name, task in config.tasks.items():
        rows = read_rows(task, data, "dev")
        assert rows.labels is not None
        probabilities = None
        if task.kind == "score":
            predicted = np.full(len(rows), 2.5) if constant else rows.labels + generator.normal(0, 1, len(rows))
        else:
            likely = np.eye(task.classes)[rows.labels] + generator.random((len(rows), task.classes))
            probabilities = (likely / likely.sum(1, keepdims=True)).tolist()
            predicted = likely.argmax(1)
            confusion[name] = confusion_matrix(rows.labels, predicted, task.classes).tolist()
        write_predictions(run.predictions(name), rows.ids, predicted.tolist(), probabilities)
        told[name] = TaskOutputs(task.label_space, rows.labels, predicted, task.scored_by)
        baselines[name] = trivial_baselines(task.label_space, rows.labels, rows.labels)
    changes = {"confusion": confusion, "baselines": baselines, "encoder": EncoderInfo("minilm", {"layers": 6})}
    record = record_of(config, score_run(told), seconds=Seconds(90.0), **changes)
    write_record(path, record)
    if logged:
        run.metrics.write_text("".join(json.dumps(line) + "\n" for line in metrics()))
    return Run(path)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_run(tmp_path_factory.mktemp("runs") / "baseline-0", logged=True)


@pytest.fixture(scope="module")
def html(run: Run, tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_report(run.path, out=tmp_path_factory.mktemp("report") / "r.html").read_text(encoding="utf-8")


class Page(HTMLParser):
    """The ids, references, open elements and text of a page."""

    VOID = ("meta", "br", "link", "img", "input", "hr")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.ids: list[str] = []
        self.references: list[str] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("href", "src", "xlink:href", "srcset", "action", "data"):
                self.references.append(value or "")
            self.references += re.findall(r"url\(([^)]*)\)", value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def test_the_page_asks_nothing_of_anybody(html: str) -> None:
    page = Page(html)
    assert page.open == []
    assert not {"script", "link", "iframe", "img", "object", "embed"} & page.tags.keys()
    assert all(reference.startswith("#") for reference in page.references)
    assert "@import" not in html
    assert not re.search(r"https?://", html)


def test_ids_are_unique_and_every_reference_has_its_goal(html: str) -> None:
    page = Page(html)
    assert [one for one, count in Counter(page.ids).items() if count > 1] == []
    assert {reference.removeprefix("#") for reference in page.references} <= set(page.ids)


def test_every_section_of_a_run_with_everything_is_there(html: str) -> None:
    text = Page(html).text
    for part in ("Before you read the scores", "Dev scores while training", "Training losses", "sst: confusion",
                 "quora: reliability", "sts: predicted and gold", "Worst errors", "Conflicts by layer and time",
                 "The ascent", "Penalties", "The whole configuration, as TOML"):  # fmt: skip
        assert part in text, part


def test_every_score_of_the_record_is_in_the_table(run: Run, html: str) -> None:
    text = Page(html).text
    for name in ("sst", "quora", "sts"):
        for metric, score in run.record["scores"]["dev"][name].items():
            low, high = score["ci95"]
            assert f"{name} {metric} {score['value']:.3f} {low:.3f} to {high:.3f}" in text


def test_the_checks_are_told_before_the_scores(html: str) -> None:
    text = Page(html).text
    assert "The encoder was trained on data like quora" in text
    assert "A technique did nothing" in text
    assert "One run is one seed" in text
    assert "No scored row of sst was trained on" in text
    assert "The recorded score of sts is that of its predictions" in text


def test_no_stand_in_is_left_and_colours_are_those_of_the_page(html: str) -> None:
    drawn = "".join(re.findall(r"<svg.*?</svg>", html, re.DOTALL))
    assert not re.search(r"#fe00[0-9a-f]{2}", drawn)
    fixed = set(re.findall(r"(?:fill|stroke): (#[0-9a-f]{6})", drawn))
    assert fixed <= {"#000000"}, fixed  # Matplotlib writes black for clip paths
    used = set(re.findall(r"var\(--([\w-]+)\)", drawn))
    assert used <= set(re.findall(r"--([\w-]+):", html))


@pytest.mark.slow
def test_the_same_run_gives_the_same_file(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    first, second = (write_report(run.path, out=tmp_path / name).read_bytes() for name in ("a.html", "b.html"))
    assert first == second


@pytest.mark.slow
def test_texts_are_shown_as_they_are_and_never_run(tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(sample.directory(), data)
    dev = data / "ids-sst-dev.csv"
    header, first, *rest = dev.read_text(encoding="utf-8").splitlines()
    columns = header.split("\t")
    fields = first.split("\t")
    fields[columns.index("sentence")] = "<script>alert(1)</script> & $x_1$"
    dev.write_text("\n".join([header, "\t".join(fields), *rest]) + "\n", encoding="utf-8")
    run = make_run(tmp_path / "run", str(data))
    lines = [json.loads(line) for line in _unzipped(run.predictions("sst"))]
    gold = int(fields[columns.index("sentiment")])
    lines[0] |= {"value": (gold + 1) % 5, "probabilities": list(np.eye(5)[(gold + 1) % 5])}
    write_predictions(run.predictions("sst"), *zip(*[list(x.values()) for x in lines], strict=True))
    text = write_report(run.path, out=tmp_path / "r.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; $x_1$" in text
    assert "<script" not in text
    assert "The record&#39;s score of sst is not that of its predictions" in text  # one prediction was changed


def _unzipped(path: Path) -> list[str]:
    import gzip

    return gzip.decompress(path.read_bytes()).decode().splitlines()


@pytest.mark.slow
def test_data_that_were_changed_since_are_noticed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(sample.directory(), data)
    run = make_run(tmp_path / "run", str(data))
    write_record(run.path, replace(run.record, data={"sts-dev.csv": DataFile("another", 1, 0)}))
    text = Page(write_report(run.path).read_text(encoding="utf-8")).text
    assert "The dev file of sts is not the one that was scored" in text
    assert "The dev file of quora" not in text


def test_without_the_data_scores_are_shown_and_the_lack_is_said(tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(sample.directory(), data)
    run = make_run(tmp_path / "run", str(data))
    shutil.rmtree(data)
    text = Page(write_report(run.path).read_text(encoding="utf-8")).text
    assert "The data cannot be read here: worst errors, reliability and overlap with training rows are left out" in text
    assert str(data) in text
    assert "sst: confusion" in text  # the record has it
    assert "Worst errors" not in text
    with pytest.raises(DataError, match="no such"):
        write_report(run.path, data=str(data))


@pytest.mark.slow
def test_relative_data_are_said_to_be_missing_elsewhere_with_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(sample.directory(), tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    run = make_run(tmp_path / "run", "data")
    said: list[str] = []
    assert "Worst errors" in Page(write_report(run.path, say=said.append).read_text(encoding="utf-8")).text
    assert said == []
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    text = Page(write_report(run.path, say=said.append).read_text(encoding="utf-8")).text
    assert f"looked for at {elsewhere / 'data'}; --data says where the data are" in text
    assert len(said) == 1
    assert str(elsewhere / "data") in said[0]
    assert "Worst errors" in Page(write_report(run.path, "../data").read_text(encoding="utf-8")).text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        (lambda path: path.write_bytes(b"no gzip"), "The dev predictions of sts cannot be read"),
        (lambda path: path.unlink(), "No dev predictions of sts are kept"),
        (lambda path: write_predictions(path, ["-7"], [1.0], None), "No dev prediction of sts is about a row"),
    ],
)
def test_predictions_that_are_not_shown_are_said_to_be_missing(
    damage: Callable[[Path], object], finding: str, tmp_path: Path
) -> None:
    run = make_run(tmp_path / "run")
    damage(run.predictions("sts"))
    text = Page(write_report(run.path).read_text(encoding="utf-8")).text
    assert finding in text
    assert "sst: reliability" in text


@pytest.mark.slow
def test_a_run_that_is_not_finished_shows_its_learning(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", logged=True)
    (run.path / "record.json").unlink()
    text = Page(write_report(run.path).read_text(encoding="utf-8")).text
    assert "The run is not finished" in text
    assert "Dev scores while training" in text


@pytest.mark.slow
def test_a_record_alone_is_enough(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    (run.path / "config.toml").unlink()
    text = Page(write_report(run.path).read_text(encoding="utf-8")).text
    assert "sst accuracy" in text
    assert "Training losses" not in text


@pytest.mark.slow
def test_an_undefined_score_is_named_and_drawn_as_nothing(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", constant=True)
    text = Page(write_report(run.path).read_text(encoding="utf-8")).text
    assert "Pearson of sts is undefined. The predictions are constant" in text
    assert "nan" not in text.lower().split()


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such"):
        write_report(tmp_path / "nothing")
    with pytest.raises(RunError, match="neither a run"):
        write_report(tmp_path)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    for seed in range(3):
        make_run(folder / f"e4-{seed}", seed=seed)
    return folder


def ours(value: float) -> dict[str, Any]:
    return {"mean": value, "sd": 0.01, "seeds": 3, "n": 121, "ci95": [value - 0.02, value + 0.02], "covers": "examples"}


def difference(value: float, half: float, seeds: int = 3) -> dict[str, Any]:
    interval = (value - half, value + half)
    row = TechniqueDifference(outcome="overall", task="overall", metric="overall", baseline="e4", technique="e6",
                              seeds=seeds, baseline_value=0.6, value=0.6 + value, effect=value, ci95_new=interval,
                              verdict=untestable(Reason.TOO_FEW_SEEDS))  # fmt: skip
    return asdict(row)


@pytest.mark.slow
def test_a_reproduction_shows_the_study_beside_ours(study: Path, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    shutil.copytree(study, folder)
    published = {"sst": 0.469, "quora": 0.526, "sts": 0.534, "overall": 0.587, "split": "test"}
    rows = [
        {"experiment": "e4", "label": "4 all three", "seeds": [0, 1, 2], "runs": [], "study": published,
         "ours": {"sst": ours(0.5), "overall": ours(0.6)}, "differences": {"sst": None, "overall": None},
         "compared_as": None},
        {"experiment": "e6", "label": "6 with SMART", "seeds": [0], "runs": [], "study": None,
         "ours": {"sst": None, "overall": ours(0.61)},
         "differences": {"sst": None, "overall": difference(0.01, 0.02, 1)},
         "compared_as": "e6"},
    ]  # fmt: skip
    table = {
        "form": FORM,
        "title": "Table 1 again (2 epochs)",
        "notes": ["All are dev."],
        "reference": "e4",
        "smallest_effect": 0.005,
        "rows": rows,
    }
    (folder / "table.json").write_text(json.dumps(table))
    text = Page(write_report(folder).read_text(encoding="utf-8")).text
    assert "Table 1 again (2 epochs)" in text
    assert "0.500 ± 0.010 0.480 to 0.520 study, test 0.469" in text
    assert "e4, 3 seeds study: test; not comparable" in text
    assert "+0.010 −0.010 to 0.030 no verdict on e6 against e4: +0.010 over 1 seed" in text
    assert (
        "Comparisons with too few seeds. Fewer than 3 seeds compare these models, not the techniques: e6 (1)." in text
    )
    assert "e6 (sst)" in text  # named as undefined
    assert "Differences from e4" in text


def test_an_ablation_shows_effects_design_and_power(tmp_path: Path) -> None:
    only = Verdict(Decision.BETTER, these_examples_only=True)
    effects = [
        Measured(
            name="smart",
            order=1,
            aliases=(),
            outcome="overall",
            task="overall",
            metric="overall",
            effect=0.012,
            seeds=3,
            ci95=(0.002, 0.022),
            ci95_new=(-0.004, 0.028),
            p=0.01,
            p_holm=0.02,
            superiority=0.97,
            superiority_ci95=(0.6, 1.0),
            verdict=only,
        ),
        Measured(
            name="mse",
            order=1,
            aliases=(),
            outcome="overall",
            task="overall",
            metric="overall",
            verdict=untestable(Reason.MISSING_RUNS, "no score in 1 configuration"),
        ),
    ]
    cell = {"levels": {"smart": True, "mse": False}, "runs": {"0": "a"}, "scores": {"overall": {"0": 0.5}}}
    one = EffectForecast("smart", "overall", Noise(0.007, 4, 0.006, own=True), 0.011, (9, 20), (12, 30), 0.008)
    power = asdict(Forecast("8 runs", 3, 0.005, 0.7, (one,)))
    design = {"kind": "full", "notes": ["4 configurations"], "factors": [{"name": "smart", "text": "SMART on sst"}],
              "cells": [cell]}  # fmt: skip
    found = {"form": FORM, "kind": "ablation", "title": "What each factor is worth", "design": design, "power": power,
             "primary": "overall", "smallest_effect": 0.005, "noise": {},
             "effects": [asdict(effect) for effect in effects]}  # fmt: skip
    (tmp_path / "ablation.json").write_text(json.dumps(found))
    text = Page(write_report(tmp_path).read_text(encoding="utf-8")).text
    for part in ("smart overall +0.012 0.002 to 0.022 −0.004 to 0.028 0.97 [0.60, 1.00] 0.020", "SMART on sst",
                 "smart overall 0.0070 (4 df) 0.011 9 to 20", "An effect could not be estimated",
                 "overall: no verdict on with mse against",
                 "smart (1)"):  # fmt: skip
        assert part in text, part


@pytest.mark.slow
def test_runs_without_a_table_are_grouped_by_what_they_are(study: Path, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    shutil.copytree(study, folder)
    text = Page(write_report(folder).read_text(encoding="utf-8")).text
    assert "3 runs" in text
    assert "Every comparison has enough seeds" in text
    assert "One run is one seed" not in text


def test_a_soup_is_a_line_of_its_own(study: Path, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    shutil.copytree(study, folder)
    shutil.copytree(folder / "e4-0", folder / "soup")
    record = read_record(folder / "soup")
    write_record(folder / "soup", replace(record, merged=Merged("soup", "all", [], [])))
    found = arms([RunView(Run(path)) for path in sorted(folder.iterdir())], "overall")
    assert {name: len(values) for name, values in found.items()} == {"baseline": 3, "soup": 1}


def test_outcomes_are_matched_by_id(run: Run) -> None:
    shown = RunView(run)
    outcomes = Library().outcomes(shown, "sts")
    assert outcomes is not None
    lines = [json.loads(line) for line in reversed(_unzipped(run.predictions("sts")))]
    rows = read_rows(shown.config.tasks["sts"], "sample", "dev")
    assert list(reversed(outcomes.ids)) == [line["id"] for line in lines] == list(reversed(rows.ids))
    assert outcomes.score() == pytest.approx(run.record["scores"]["dev"]["sts"]["pearson"]["value"], abs=1e-9)


def test_the_worst_errors_are_the_surest_wrong_ones() -> None:
    gold, predicted = np.array([0, 1, 2, 3.0]), np.array([0, 2, 1, 1.0])
    probabilities = np.array([[0.9, 0, 0, 0, 0], [0, 0, 0.4, 0, 0], [0, 0.8, 0, 0, 0], [0, 0.6, 0, 0, 0]])
    outcomes = Outcomes(SST, list("abcd"), [("",)] * 4, gold, predicted, probabilities)
    assert worst(outcomes) == [2, 3, 1]  # the first is right, however sure


def test_layers_are_named_and_a_pooler_without_gradient_is_left_out() -> None:
    found = gradients.conflicts(metrics(), encoder_layers=6)
    assert found is not None
    assert found.layers == ["embeddings", *(f"layer {n}" for n in range(1, 7))]
    assert found.by_layer.shape == (20, 7, 2, 2)
    assert found.rate((0, 1)) == 1.0
    pooled = [{"step": 1, "conflicts": {**LOOK, "tasks": ["a", "b"], "layers": [LOOK] * 3}}]
    used = gradients.conflicts(pooled, encoder_layers=1)
    assert used is not None
    assert used.layers == ["embeddings", "layer 1", "pooler"]
    assert gradients.conflicts([{"step": 1, "losses": {}}], 6) is None


def test_the_conflict_map_is_red_for_conflict_and_averages_long_runs() -> None:
    found = gradients.conflicts(metrics(400), encoder_layers=6)
    assert found is not None
    figure = Figure()
    gradient_plots.conflict_map(figure, found)
    (mesh,) = figure.axes[0].collections
    values = np.asarray(mesh.get_array())
    assert values.shape == (7, gradient_plots.MOST_COLUMNS)
    np.testing.assert_allclose(values, -0.5)
    assert "var(--warm)" in svg(gradient_plots.conflict_map, 400, 400, found)


def test_a_running_mean_keeps_constants_and_passes_over_gaps() -> None:
    np.testing.assert_allclose(plots.running_mean(np.full(50, 3.0)), 3.0)
    values = np.arange(100.0)
    np.testing.assert_allclose(plots.running_mean(values)[10:-10], values[10:-10])  # of a line it is the line
    values[40:60] = np.nan
    smooth = plots.running_mean(values)
    assert np.isnan(smooth[45:55]).all()
    assert smooth[39] == pytest.approx(38.0)  # of 37 to 41 only 37, 38, 39 are known


def test_shares_of_the_loss_are_by_step() -> None:
    curves = gradients.loss_curves(metrics(), "smart/penalty", of_loss=True)
    assert curves.keys() == {"sst"}
    assert [value for _, value in curves["sst"]] == pytest.approx([0.01] * len(curves["sst"]))


def test_a_stand_in_is_one_colour_whatever_is_drawn_in_between() -> None:
    first = css("var(--ink)")
    css("var(--something-else)")
    assert css("var(--ink)") == first


def test_only_the_command_loads_matplotlib() -> None:
    code = "import sys, bertram.cli.report, bertram.report; print('matplotlib' in sys.modules, 'jinja2' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert found == ["False", "False"]


BROWSER = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium here to lay the page out")
@pytest.mark.parametrize("width", [500, 1200])
def test_nothing_sticks_out_of_the_page(html: str, width: int, tmp_path: Path) -> None:
    assert BROWSER is not None
    measure = "<script>document.title = document.documentElement.scrollWidth + ' of ' + innerWidth</script></body>"
    measured = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", html).replace("</body>", measure)
    (tmp_path / "r.html").write_text(measured, encoding="utf-8")
    options_ = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    page = subprocess.run(
        [BROWSER, *options_, f"--window-size={width},900", "--dump-dom", f"file://{tmp_path / 'r.html'}"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    title = re.search(r"<title>(\d+) of (\d+)</title>", page)
    assert title is not None
    assert int(title[1]) <= int(title[2]) <= width


@pytest.mark.slow
def test_a_difference_far_beyond_the_others_is_named_below_the_forest() -> None:
    marks = [plots.Marked(f"e{number}", 0.01 * number, None) for number in range(-3, 4)]
    picture = _forest("overall", [*marks, plots.Marked("e1-yes", -0.274, (-0.3, -0.25))], FAR)
    assert picture.caption == "Far beyond the picture: e1-yes −0.274."
    assert "e1-yes" not in picture.svg
    assert "e3" in picture.svg
    assert _forest("overall", marks, FAR).caption == ""
