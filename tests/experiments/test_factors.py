"""Factors set what they say, and combinations that cannot work are reported together."""

from dataclasses import replace
from pathlib import Path

import pytest

from bertram import options
from bertram.data.rows import read_rows
from bertram.errors import ConfigError
from bertram.experiments import ablation_table
from bertram.experiments.ablation import Ablation, configurations
from bertram.experiments.budget import Budget
from bertram.experiments.cost import order_of
from bertram.experiments.design import Design, full, leave_one_out, one_at_a_time
from bertram.experiments.equal_time import StepCosts, hashes, shortened
from bertram.experiments.factors import FACTORS, Factor, configuration, parse
from bertram.minbert import catalogue
from bertram.minbert import rows as e
from bertram.tasks import SST


@pytest.mark.parametrize("factor", FACTORS.values(), ids=lambda factor: factor.name)
def test_a_factor_changes_something_and_off_is_row_4(factor: Factor) -> None:
    base = e.e9() if factor.name == "pcgrad-step" else e.e4()
    off, on = configuration(base, [factor], (False,)), configuration(base, [factor], (True,))
    assert options.digest(off) != options.digest(on)
    if factor.name == "bi":
        assert options.digest(on) == options.digest(e.e4())
    elif factor.name != "pcgrad-step":
        assert options.digest(off) == options.digest(e.e4())


def test_smart_and_bregman_are_told_apart() -> None:
    both = parse("smart,bregman")
    cells = {levels: configuration(e.e4(), both, levels).smart for levels in full("ab").cells}
    assert cells[False, False].tasks == ()
    assert (cells[True, False].weight, cells[True, False].bregman) == (1.0, "off")
    assert (cells[False, True].weight, cells[False, True].bregman) == (0.0, "momentum")
    assert cells[False, True].tasks == ("sst",)
    assert options.digest(configuration(e.e4(), both, (True, True))) == options.digest(e.e6())


def test_bregman_without_the_factor_smart_is_the_proximal_point_alone() -> None:
    bregman = parse("bregman,mse")
    assert configuration(e.e4(), bregman, (False, True)).smart.tasks == ()
    on = configuration(e.e4(), bregman, (True, False)).smart
    assert (on.weight, on.bregman, on.tasks) == (0.0, "momentum", ("sst",))
    assert configuration(e.e6(), bregman, (True, False)).smart.weight == 1.0  # where the base has the penalty, it stays
    tasks = parse("smart.tasks=none:sst,smart.bregman=off:momentum")
    assert configuration(e.e4(), tasks, (True, False)).smart.weight == 1.0


def test_any_field_is_a_factor() -> None:
    smart, dropout = parse("smart, model.head_dropout=0.1:0.3")
    made = [configuration(e.e4(), [smart, dropout], (False, level)).model.head_dropout for level in (False, True)]
    assert made == [0.1, 0.3]
    assert "0.3 instead of 0.1" in dropout.text


def test_several_switches_make_one_factor_and_the_last_one_decides() -> None:
    factors = parse("smart-all,smart-all+smart.weight=0:3,smart-all+smart.weight=0:5e+0", alone=True)
    made = configurations(ablation_of(factors, one_at_a_time([factor.name for factor in factors]), "cross"), 0)
    assert [(config.smart.weight, config.smart.tasks) for config in made[1:]] == [(w, ("all",)) for w in (1, 3, 5)]
    assert made[0].smart.tasks == ()
    assert [config.recipe for config in made] == [
        "none", "smart-all", "smart-all+smart-weight=3", "smart-all+smart-weight=5e+0",
    ]  # fmt: skip
    orders = parse("sampling.first_task=none:quora,sampling.first_task=none:sts", alone=True)
    assert [factor.name for factor in orders] == ["sampling.first_task=none:quora", "sampling.first_task=none:sts"]
    with pytest.raises(ConfigError, match=r"both decide smart.weight"):
        parse("smart-all,smart-all+smart.weight=0:3")


def test_at_equal_time_a_configuration_has_fewer_steps_by_what_its_step_costs() -> None:
    asked_ = asked("smart,cross", recipe="e9")
    costs = StepCosts("none", {"none": 1.0, "smart": 1.6, "cross": 0.5, "smart+cross": 2.0})
    plain, *others = (order_of(config).steps_per_epoch for config in configurations(asked_, 0))
    assert others == [plain] * 3
    at_equal_time = configurations(replace(asked_, step_costs=costs), 0)
    for config in at_equal_time:
        assert order_of(config).steps_per_epoch == round(plain / costs.ratios[config.recipe])
    assert options.digest(at_equal_time[0]) == options.digest(configurations(asked_, 0)[0])
    with pytest.raises(ConfigError, match="no cost of smart"):
        configurations(replace(asked_, step_costs=StepCosts("none", {"none": 1.0})), 0)


def test_at_equal_time_factors_that_change_the_number_of_steps_take_no_more_time() -> None:
    factors = parse("joint,sampling.batch_size=8:16,sampling.epochs=2:4,mse", alone=True)
    request = ablation_of(factors, one_at_a_time([factor.name for factor in factors]), "e4")
    names = [config.recipe for config in configurations(request, 0)]
    ratios = dict(zip(names, (1.0, 3.0, 2.0, 1.0, 1.0), strict=True))
    configs = configurations(replace(request, step_costs=StepCosts("none", ratios)), 0)
    plain, *times = (order_of(config).total_steps * ratios[config.recipe] for config in configs)
    assert times == pytest.approx([plain] * 4, rel=0.03)
    assert configs[-1].sampling.steps_per_epoch is None  # whole passes, as the plain one has


def test_costs_of_a_step_hold_for_the_configurations_that_were_measured() -> None:
    request = asked("smart,cross", recipe="e9")
    measured = configurations(request, 0)
    costs = StepCosts("none", dict.fromkeys(hashes(measured), 1.0), hashes(measured))
    assert len(configurations(replace(request, step_costs=costs), 1)) == 4  # another seed
    for other in (
        replace(request, base=catalogue.recipe("e12")),
        replace(request, budget=Budget(epochs=2)),
        replace(request, budget=Budget(changes={"encoder": "mpnet"})),
    ):
        with pytest.raises(ConfigError, match=r"step-costs\.json: is of another recipe, encoder or budget"):
            configurations(replace(other, step_costs=costs), 0)


def test_steps_at_equal_time_count_the_further_rows_of_a_batch() -> None:
    phrases = [{"file": "ids-sst-train.csv", "texts": ["sentence"], "label": "sentiment", "share": 0.75}]
    tasks = {"sst": {"batch_size": 32, "extra": phrases}}
    config = options.change(catalogue.recipe("cross"), recipe="slow", tasks=tasks, sampling={"epoch_of": "sst"})
    steps = order_of(config).steps_per_epoch
    assert steps == -(-len(read_rows(SST, "sample", "train")) // 8)  # 8 of the 32 rows of a batch are its own
    assert shortened(config, StepCosts("none", {"slow": 2.0}), config).sampling.steps_per_epoch == round(steps / 2)


def test_all_faults_of_the_factors_come_together() -> None:
    with pytest.raises(ConfigError) as caught:
        parse("rotating,joint,smurt,smart,smart-all")
    text = str(caught.value)
    assert "no 'smurt'" in text
    assert "rotating and joint both decide sampling.order" in text
    assert "smart and smart-all both decide smart.tasks" in text
    with pytest.raises(ConfigError, match="at least two"):
        parse("smart")


def asked(names: str, recipe: str = "e4", design: str = "full") -> Ablation:
    factors = parse(names)
    made = (full if design == "full" else leave_one_out)([factor.name for factor in factors])
    return ablation_of(factors, made, recipe)


def ablation_of(factors: list[Factor], design: Design, recipe: str) -> Ablation:
    return Ablation(recipe, catalogue.recipe(recipe), factors, design, [0], Budget(), Path("nowhere"))


def test_combinations_that_cannot_work_are_reported_before_anything_starts() -> None:
    with pytest.raises(ConfigError) as caught:
        configurations(asked("pcgrad-step,rotating,smart"), 0)
    problems = caught.value.problems
    assert len(problems) == 2  # for sequential and for rotating order, each with how often
    assert all("2 of 8 configurations" in problem for problem in problems)
    assert all("the factor pcgrad" in problem for problem in problems)
    assert len(configurations(asked("pcgrad,rotating,smart"), 0)) == 8
    assert len(configurations(asked("pcgrad-step,mse", recipe="e9"), 0)) == 4


def test_a_factor_that_does_nothing_is_reported() -> None:
    with pytest.raises(ConfigError, match="one run: a factor does nothing"):
        configurations(asked("smart,smart.bregman_update_steps=5:9"), 0)


def test_leave_one_out_has_one_configuration_more_than_factors() -> None:
    made = configurations(asked("smart,cross,mse", design="leave-one-out"), 0)
    assert [config.recipe for config in made] == ["smart+cross+mse", "cross+mse", "smart+mse", "smart+cross"]
    assert ablation_table.TABLE == "ablation.json"
