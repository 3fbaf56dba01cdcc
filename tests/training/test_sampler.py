"""Which examples come next: each order's epoch, its counts, and that it can be resumed at any step."""

import json
from collections import Counter
from itertools import pairwise
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bertram.config import ORDER_OPTIONS, OrderName, SamplingConfig
from bertram.errors import ConfigError
from bertram.training.orders import ORDERS, SampledOrder, Sequential, WorstLast
from bertram.training.pools import Pool, Source, Stratum
from bertram.training.sampler import Sampler, Stream

ANY = settings(deadline=None, max_examples=40)
ANY_ORDER = st.sampled_from(get_args(OrderName))
SAMPLED = tuple(name for name, order in ORDERS.items() if issubclass(order, SampledOrder))
WHOLE_PASSES = tuple(name for name, order in ORDERS.items() if issubclass(order, Sequential))
SIZES = st.lists(st.integers(2, 60), min_size=1, max_size=4)


def pools(sizes: list[int], batch_size: int = 4, **more: Any) -> dict[str, Pool]:
    return {f"task{number}": Pool(size, batch_size, **more) for number, size in enumerate(sizes)}


def sampler(sizes: list[int], order: str, seed: int = 0, batch_size: int = 4, **config: Any) -> Sampler:
    settings_ = SamplingConfig.model_validate({"order": order, "epochs": 2, "batch_size": batch_size, **config})
    return Sampler(pools(sizes, batch_size), settings_, seed)


def enough(sizes: list[int]) -> int:
    """Steps that give each task one where an epoch has passes."""
    batches = [-(-size // 4) for size in sizes]
    return -(-sum(batches) // min(batches))


def steps(source: Sampler, count: int) -> list[dict[str, list[int]]]:
    return [{name: places.tolist() for name, places in source.next().items()} for _ in range(count)]


def epoch(source: Sampler) -> list[dict[str, list[int]]]:
    return steps(source, source.steps_per_epoch)


def probabilities(source: Sampler) -> list[float]:
    """The probability of each task in the next step."""
    assert isinstance(source.order, SampledOrder)
    values: list[float] = source.order.probabilities(source.step).tolist()
    return values


def turns(found: list[dict[str, list[int]]]) -> list[str]:
    """The tasks in the order in which they had their turns, consecutive steps of one task counting once."""
    names = [next(iter(one)) for one in found]
    return [name for number, name in enumerate(names) if number == 0 or names[number - 1] != name]


@ANY
@given(sizes=SIZES, batch_size=st.integers(1, 9), order=st.sampled_from(WHOLE_PASSES), seed=st.integers(0, 99))
def test_an_epoch_of_whole_passes_has_every_example_once(
    sizes: list[int], batch_size: int, order: str, seed: int
) -> None:
    source = sampler(sizes, order, seed, batch_size)
    assert source.steps_per_epoch == sum(-(-size // batch_size) for size in sizes)
    assert source.total_steps == 2 * source.steps_per_epoch
    for _ in range(2):
        found = epoch(source)
        assert all(len(one) == 1 for one in found)
        assert len(turns(found)) == len(sizes)
        for name, pool in source.pools.items():
            batches = [one[name] for one in found if name in one]
            assert sorted(place for batch in batches for place in batch) == list(range(pool.size))
            assert {len(batch) for batch in batches[:-1]} <= {batch_size}
    assert source.seen() == {name: 2 * pool.size for name, pool in source.pools.items()}


def test_sequential_keeps_its_order_and_rotating_starts_one_task_later() -> None:
    names = ["task0", "task1", "task2"]
    one, other = sampler([9, 20, 5], "sequential", epochs=4), sampler([9, 20, 5], "rotating", epochs=4)
    for number in range(4):
        assert turns(epoch(one)) == names
        assert turns(epoch(other)) == names[number % 3 :] + names[: number % 3]


@pytest.mark.parametrize("order", WHOLE_PASSES)
def test_any_task_may_begin_and_the_others_follow_in_their_cyclic_order(order: str) -> None:
    source = sampler([9, 6, 11], order, first_task="task2")
    assert turns(epoch(source)) == ["task2", "task0", "task1"]


def test_the_worst_task_goes_last() -> None:
    source = sampler([9, 20, 5], "worst-last", epochs=3)
    assert turns(epoch(source)) == ["task0", "task1", "task2"]  # the first epoch is sequential
    assert source.order.end_epoch(lambda: {"task0": 0.1, "task1": 0.3, "task2": 0.2}) == {"last_task": "task0"}
    assert turns(epoch(source)) == ["task1", "task2", "task0"]
    assert source.order.end_epoch(lambda: {"task0": 0.3, "task1": 0.1, "task2": 0.1}) == {"last_task": "task1"}
    assert turns(epoch(source)) == ["task0", "task2", "task1"]


@ANY
@given(sizes=SIZES, batch_size=st.integers(1, 9))
def test_a_joint_step_has_a_batch_of_each_task(sizes: list[int], batch_size: int) -> None:
    source = sampler(sizes, "joint", batch_size=batch_size)
    found = epoch(source)
    assert all(list(one) == source.order.names for one in found)
    assert all(len(places) == batch_size for one in found for places in one.values())
    drawn = sum(source.seen().values())
    assert sum(sizes) <= drawn < sum(sizes) + batch_size * len(sizes)  # as many as all tasks have together


def test_in_joint_steps_a_small_task_is_seen_more_often_and_a_large_one_less() -> None:
    source = sampler([10, 110], "joint")
    found = epoch(source)
    counts = [Counter(place for one in found for place in one[name]) for name in source.order.names]
    assert source.seen() == {"task0": 60, "task1": 60}
    assert set(counts[0].values()) == {6}
    assert set(counts[1].values()) == {1}


@ANY
@given(sizes=SIZES, batch_size=st.integers(1, 9), data=st.data(), order=st.sampled_from(["joint", "round-robin"]))
def test_an_epoch_may_be_a_pass_over_one_task(
    sizes: list[int], batch_size: int, data: st.DataObject, order: str
) -> None:
    name = f"task{data.draw(st.integers(0, len(sizes) - 1))}"
    source = sampler(sizes, order, batch_size=batch_size, epoch_of=name)
    seen = Counter(place for one in epoch(source) for place in one.get(name, []))
    size = source.pools[name].size
    assert set(seen) == set(range(size))
    assert size <= sum(seen.values()) < size + batch_size


@ANY
@given(sizes=SIZES)
def test_round_robin_takes_turns(sizes: list[int]) -> None:
    source = sampler(sizes, "round-robin", epochs=3)
    names = [next(iter(one)) for one in steps(source, source.total_steps)]
    assert names == [source.order.names[number % len(sizes)] for number in range(len(names))]
    assert source.steps_per_epoch == -(-sum(sizes) // 4)


@ANY
@given(sizes=SIZES, order=st.sampled_from(SAMPLED))
def test_an_epoch_of_drawn_tasks_has_as_many_examples_as_all_have(sizes: list[int], order: str) -> None:
    source = sampler(sizes, order)
    found = epoch(source)
    assert all(len(one) == 1 and len(next(iter(one.values()))) == 4 for one in found)
    assert sum(sizes) <= sum(source.seen().values()) < sum(sizes) + 4


@pytest.mark.parametrize("order", SAMPLED)
def test_an_epoch_of_drawn_tasks_with_unequal_batches_has_as_many_examples_on_average(order: str) -> None:
    unequal = {"large": Pool(3000, 16), "small": Pool(1000, 4)}
    config = SamplingConfig.model_validate(
        {"order": order, "epochs": 1, "size_exponent": 0.7 if order == "temperature" else 1}
    )
    source = Sampler(unequal, config, 0)
    steps(source, source.steps_per_epoch)
    assert sum(source.seen().values()) == pytest.approx(4000, rel=0.1)


@ANY
@given(sizes=SIZES, alpha=st.floats(0, 2), cap=st.one_of(st.none(), st.integers(1, 80)))
def test_tasks_are_drawn_in_proportion_to_a_power_of_their_size(
    sizes: list[int], alpha: float, cap: int | None
) -> None:
    def share(power: float, of: list[int]) -> list[Any]:
        return [pytest.approx(size**power / sum(other**power for other in of)) for size in of]

    capped = [min(size, cap) if cap else size for size in sizes]
    assert probabilities(sampler(sizes, "temperature", size_exponent=alpha, size_cap=cap)) == share(alpha, capped)
    assert probabilities(sampler(sizes, "proportional")) == share(1, sizes)
    assert probabilities(sampler(sizes, "square-root")) == share(0.5, sizes)


@pytest.mark.parametrize("epochs", [1, 3])
def test_annealing_goes_from_the_sizes_to_their_fifth_power_root_over_the_whole_run(epochs: int) -> None:
    source = sampler([40, 640], "annealed", epochs=epochs)
    ratios = []
    for _ in range(source.total_steps):
        ratios.append(float(np.log(probabilities(source)[1] / probabilities(source)[0]) / np.log(16)))
        source.next()
    assert ratios[0] == pytest.approx(1.0)
    assert ratios[-1] == pytest.approx(0.2)
    falls = [a - b for a, b in pairwise(ratios)]
    assert falls == pytest.approx([0.8 / (source.total_steps - 1)] * len(falls))


@pytest.mark.parametrize("order", ["proportional", "square-root", "temperature"])
def test_tasks_come_as_often_as_their_probability_says(order: str) -> None:
    settings_: dict[str, Any] = {"size_exponent": 0.3, "size_cap": 100} if order == "temperature" else {}
    source = sampler([5, 50, 400], order, **settings_)
    expected = probabilities(source)
    count = 3000
    drawn = Counter(next(iter(one)) for one in steps(source, count))
    for name, p in zip(source.order.names, expected, strict=True):
        assert abs(drawn[name] / count - p) < 4.5 * (p * (1 - p) / count) ** 0.5


@ANY
@given(size=st.integers(1, 50), counts=st.lists(st.integers(0, 60), max_size=12), seed=st.integers(0, 99))
def test_a_stream_is_pass_after_pass_however_it_is_drawn(size: int, counts: list[int], seed: int) -> None:
    stream = Stream(size, seed, "task")
    parts = [stream.draw(count) for count in counts]
    assert [len(part) for part in parts] == counts
    assert stream.position == sum(counts)
    drawn = np.concatenate([*parts, stream.draw(size)])
    for begin in range(0, len(drawn) - size + 1, size):
        assert sorted(drawn[begin : begin + size].tolist()) == list(range(size))
    assert drawn.tolist() == Stream(size, seed, "task").draw(len(drawn)).tolist()


def test_every_pass_is_shuffled_anew() -> None:
    stream = Stream(40, 0, "task")
    passes = [stream.draw(40).tolist() for _ in range(5)]
    assert len({tuple(one) for one in passes}) == 5
    assert list(range(40)) not in passes
    others = [Stream(40, 1, "task").draw(40).tolist(), Stream(40, 0, "other").draw(40).tolist()]
    assert others[0] != passes[0] != others[1]


@ANY
@given(first=ANY_ORDER, second=ANY_ORDER, seed=st.integers(0, 99))
def test_the_examples_of_a_task_come_in_one_order_whatever_the_order_of_the_tasks(
    first: str, second: str, seed: int
) -> None:
    def stream(source: Sampler) -> list[int]:
        return [place for one in steps(source, 3 * source.steps_per_epoch) for place in one.get("task1", [])]

    a, b = stream(sampler([9, 20, 5], first, seed)), stream(sampler([9, 20, 5], second, seed))
    shared = min(len(a), len(b))
    assert a[:shared] == b[:shared]
    alone = stream(sampler([3, 20], second, seed))
    shared = min(len(a), len(alone))
    assert a[:shared] == alone[:shared]


def test_another_seed_gives_other_batches() -> None:
    for order in get_args(OrderName):
        runs = [steps(sampler([30, 50], order, seed), 10) for seed in (0, 0, 1)]
        assert runs[0] == runs[1]
        assert runs[0] != runs[2]


@ANY
@given(sizes=SIZES, order=ANY_ORDER, done=st.integers(0, 60), extra=st.booleans(), seed=st.integers(0, 99))
def test_a_resumed_run_goes_on_with_the_very_next_batch(
    sizes: list[int], order: str, done: int, extra: bool, seed: int
) -> None:
    config = SamplingConfig.model_validate({"order": order, "epochs": 4})
    made = pools(sizes, 4, further=(Source("extra", 7, 0.5),)) if extra else pools(sizes, 4)
    whole, begun, resumed = (Sampler(made, config, seed) for _ in range(3))
    for source in (whole, begun):
        steps(source, done)
        source.order.end_epoch(lambda: dict.fromkeys(made, 0.5))
    resumed.load_state_dict(json.loads(json.dumps(begun.state_dict())))
    assert resumed.seen() == whole.seen()
    assert steps(resumed, 20) == steps(whole, 20)
    assert resumed.state_dict() == whole.state_dict()


@ANY
@given(
    size=st.integers(2, 40), extra=st.integers(1, 40), batch_size=st.integers(2, 12), share=st.floats(0.01, 0.99),
    order=ANY_ORDER,
)  # fmt: skip
def test_further_examples_have_their_share_of_each_batch(
    size: int, extra: int, batch_size: int, share: float, order: str
) -> None:
    pool = Pool(size, batch_size, (Source("extra", extra, share),))
    assert 1 <= pool.own < batch_size
    assert abs((batch_size - pool.own) - batch_size * share) <= 1
    source = Sampler({"t": pool}, SamplingConfig.model_validate({"order": order, "epochs": 3}), 0)
    found = [one["t"] for _ in range(2) for one in epoch(source)]
    own = [place for places in found for place in places if place < size]
    further = [place - size for places in found for place in places if place >= size]
    assert all(sum(place >= size for place in places) == batch_size - pool.own for places in found)
    assert own == Stream(size, 0, "t").draw(len(own)).tolist()
    assert further == Stream(extra, 0, "t/extra").draw(len(further)).tolist()
    assert source.seen() == {"t": len(own) + len(further)}
    if order in WHOLE_PASSES:
        assert Counter(own) == dict.fromkeys(range(size), 2)


def test_several_files_share_a_batch_by_their_rows_or_their_share() -> None:
    further = (Source("extra", 60, None), Source("extra[1]", 30, None), Source("unlabelled", 5, 0.25))
    pool = Pool(size=30, batch_size=16, further=further)
    assert (pool.own, pool.further_counts) == (3, (6, 3, 4))
    source = Sampler({"t": pool}, SamplingConfig(), 0)
    places = source.next()["t"]
    begins = [0, 30, 90, 120, 125]
    counts = [sum(begin <= place < end for place in places) for begin, end in pairwise(begins)]
    assert counts == [pool.own, *pool.further_counts]
    assert source.seen() == {"t": 16}


def test_a_pass_over_a_further_file_can_have_the_label_frequencies_of_the_own_rows() -> None:
    """Of 12 rows with label 1, each pass draws 4, others each time; the 8 rows with label 0 are in every pass."""
    zeros, ones = np.arange(8), np.arange(8, 20)
    strata = (Stratum(zeros, 8), Stratum(ones, 4))
    pool = Pool(100, 4, (Source("extra", 20, 0.5, strata),))
    assert pool.further[0].pass_size == 12
    stream = Stream(12, 0, "t/extra", strata=strata)
    passes = [stream.draw(12).tolist() for _ in range(30)]
    assert all(sorted(places)[:8] == zeros.tolist() and len(set(places)) == 12 for places in passes)
    assert {place for places in passes for place in places} == set(range(20))
    source = Sampler({"t": pool}, SamplingConfig(), 0)
    drawn = [place - 100 for _ in range(6) for place in source.next()["t"][2:]]
    assert drawn == Stream(12, 0, "t/extra", strata=strata).draw(12).tolist()


def test_a_batch_of_one_is_of_the_tasks_own() -> None:
    pool = Pool(5, 1, (Source("extra", 4, 0.5),))
    source = Sampler({"t": pool}, SamplingConfig(), 0)
    assert [len(source.next()["t"]) for _ in range(5)] == [1] * 5
    assert source.seen() == {"t": 5}


@ANY
@given(sizes=SIZES, order=ANY_ORDER, count=st.integers(1, 50))
def test_an_epoch_may_be_a_number_of_steps(sizes: list[int], order: str, count: int) -> None:
    assume(order not in WHOLE_PASSES or count >= enough(sizes))
    source = sampler(sizes, order, steps_per_epoch=count, epochs=3)
    assert (source.steps_per_epoch, source.total_steps) == (count, 3 * count)
    found = steps(source, source.total_steps)
    assert all(len(places) == 4 for one in found for places in one.values())
    for name, pool in source.pools.items():  # passes go on from epoch to epoch
        drawn = [place for one in found for place in one.get(name, [])]
        assert drawn == Stream(pool.size, 0, name).draw(len(drawn)).tolist()


@ANY
@given(sizes=SIZES, order=st.sampled_from(WHOLE_PASSES), count=st.integers(1, 200))
def test_with_a_number_of_steps_each_task_has_its_part_of_them(sizes: list[int], order: str, count: int) -> None:
    if count < enough(sizes):
        refusal = rf"sampling.steps_per_epoch: {count} steps leave none to .*; give {enough(sizes)} or more"
        with pytest.raises(ConfigError, match=refusal):
            sampler(sizes, order, steps_per_epoch=count)
        return
    source = sampler(sizes, order, steps_per_epoch=count)
    passes = [pool.batches for pool in source.pools.values()]
    found = epoch(source)
    mine = Counter(next(iter(one)) for one in found)
    for name, batches in zip(source.order.names, passes, strict=True):
        assert abs(mine[name] - count * batches / sum(passes)) < 1
    assert turns(found) == source.order.names


# ------------------------------------------------------------------------------------------ what an order says


@pytest.mark.parametrize("name", get_args(OrderName))
def test_each_order_has_a_class_and_the_options_that_fit_its_steps(name: OrderName) -> None:
    assert list(ORDERS) == list(ORDER_OPTIONS) == list(get_args(OrderName))
    source = sampler([9, 20, 5], name)
    assert ORDER_OPTIONS[name].step_surgery == (len(source.next()) == 3)
    assert source.order.scores_each_epoch == isinstance(source.order, WorstLast)


@pytest.mark.parametrize("name", get_args(OrderName))
def test_an_order_asks_for_scores_only_if_it_says_so(name: OrderName) -> None:
    asked = []

    def scores() -> dict[str, float]:
        asked.append(1)
        return {"task0": 0.5, "task1": 0.4, "task2": 0.6}

    order = sampler([9, 20, 5], name).order
    decided = order.end_epoch(scores)
    assert bool(asked) == bool(decided) == order.scores_each_epoch


@pytest.mark.slow
@pytest.mark.parametrize("name", get_args(OrderName))
@pytest.mark.parametrize("steps_per_epoch", [None, 500])
def test_the_expected_examples_are_those_of_a_run(name: OrderName, steps_per_epoch: int | None) -> None:
    source = sampler([90, 300, 50], name, epochs=20, steps_per_epoch=steps_per_epoch)
    steps(source, source.total_steps)
    tolerance = 0.15 if isinstance(source.order, SampledOrder) else 0.02
    for task, seen in source.seen().items():
        assert source.order.expected_examples(task) == pytest.approx(seen, rel=tolerance)


@pytest.mark.parametrize("name", ["sequential", "rotating", "worst-last", "joint"])
def test_further_rows_are_expected_too(name: OrderName) -> None:
    pools = {"a": Pool(64, 8, (Source("extra", 100, 0.5),)), "b": Pool(40, 8)}
    config = SamplingConfig.model_validate(
        {"order": name, "epochs": 2, **({"epoch_of": "a"} if name == "joint" else {})}
    )
    source = Sampler(pools, config, 0)
    steps(source, source.total_steps)
    assert {task: source.order.expected_examples(task) for task in pools} == pytest.approx(source.seen(), rel=0.02)


@pytest.mark.parametrize(
    ("name", "more", "words"),
    [
        ("sequential", {}, "a whole pass over each task"),
        ("worst-last", {}, "a whole pass over each task"),
        ("joint", {}, "as many examples as all tasks have together"),
        ("joint", {"epoch_of": "task1"}, "a whole pass over task1"),
        ("annealed", {}, "as many examples as all tasks have together"),
        ("rotating", {"steps_per_epoch": 30}, "30 steps"),
    ],
)
def test_an_epoch_is_described(name: str, more: dict[str, Any], words: str) -> None:
    assert sampler([9, 20, 5], name, **more).order.epoch == words


def test_a_task_that_a_short_run_never_reaches_is_named() -> None:
    assert sampler([8, 8, 8], "round-robin", steps_per_epoch=2, epochs=1).order.unseen() == ["task2"]
    assert sampler([8, 8, 8], "round-robin", steps_per_epoch=2, epochs=2).order.unseen() == []
    assert sampler([8, 8, 8], "joint", steps_per_epoch=1, epochs=1).order.unseen() == []
