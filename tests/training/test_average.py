"""Averaged weights against the means they stand for."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bertram.config import AverageConfig
from bertram.training.average import EVERY, Average


def walk(steps: int, **config: Any) -> tuple[Average, nn.Linear, list[Tensor]]:
    """An average that has watched a network walk, the network, and its weights after each step."""
    network = nn.Linear(3, 2)
    network.bias.requires_grad_(False)
    average = Average(network, AverageConfig(**config), total_steps=steps)
    generator, path = torch.Generator().manual_seed(0), []
    for step in range(1, steps + 1):
        with torch.no_grad():
            network.weight.copy_(torch.randn(2, 3, generator=generator))
        path.append(network.weight.detach().clone())
        average.update(step)
    return average, network, path


def averaged(average: Average, network: nn.Linear) -> Tensor:
    with average.applied():
        return network.weight.detach().clone()


def test_a_tail_average_is_the_mean_of_the_weights_from_its_start_on() -> None:
    average, network, path = walk(100, method="tail", tail_start=0.5)
    expected = torch.stack([path[step - 1] for step in range(50, 101, average.every)]).mean(0)
    torch.testing.assert_close(averaged(average, network), expected)


@pytest.mark.parametrize(("steps", "every"), [(1, 1), (16, 1), (39, 1), (40, 2), (199, 9), (200, 10), (2000, 10)])
def test_the_average_of_a_short_tail_is_of_ten_snapshots_or_of_all(steps: int, every: int) -> None:
    average, network, path = walk(steps, method="tail", tail_start=0.5)
    assert average.every == every
    taken = [path[step - 1] for step in range(max(1, average.first), steps + 1) if step % every == 0]
    assert len(taken) >= min(10, steps - average.first)
    torch.testing.assert_close(averaged(average, network), torch.stack(taken).mean(0))


def test_an_exponential_average_forgets_its_start_and_then_at_its_rate() -> None:
    decay = 0.97
    average, network, path = walk(200, method="ema", ema_decay=decay)
    mean = torch.zeros(2, 3)
    for number, step in enumerate(range(EVERY, 201, EVERY), 1):
        share = max(1 / number, 1 - decay**EVERY)
        mean = (1 - share) * mean + share * path[step - 1]
    torch.testing.assert_close(averaged(average, network), mean)


def test_a_slow_exponential_average_is_the_plain_mean() -> None:
    average, network, path = walk(60, method="ema", ema_decay=0.99999)
    expected = torch.stack(path[average.every - 1 :: average.every]).mean(0)
    torch.testing.assert_close(averaged(average, network), expected)


@pytest.mark.parametrize("config", [{"method": "none"}, {"method": "tail", "tail_start": 0.9}])
def test_without_an_average_yet_the_network_s_own_weights_are_applied(config: dict[str, Any]) -> None:
    network = nn.Linear(3, 2)
    average = Average(network, AverageConfig(**config), total_steps=100)
    average.update(80)
    assert torch.equal(averaged(average, network), network.weight)


def test_the_network_gets_its_own_weights_back_even_after_a_failure() -> None:
    average, network, path = walk(30, method="ema", ema_decay=0.5)
    first = averaged(average, network)
    assert torch.equal(network.weight, path[-1])
    with pytest.raises(RuntimeError), average.applied():
        torch.ones(2) @ network.weight.new_ones(3)  # the evaluation fails
    assert torch.equal(network.weight, path[-1])
    assert torch.equal(averaged(average, network), first)


@pytest.mark.parametrize("method", ["ema", "tail"])
def test_an_average_goes_on_from_its_state(method: str) -> None:
    average, network, _ = walk(60, method=method, ema_decay=0.9, tail_start=0.2)
    again = Average(network, average.config, total_steps=60)
    state = average.state_dict()
    again.load_state_dict({**state, "weights": {name: weight.clone() for name, weight in state["weights"].items()}})
    with torch.no_grad():
        network.weight.add_(1.0)
    average.update(72)
    again.update(72)
    assert average.updates == again.updates == state["updates"] + 1
    assert torch.equal(averaged(average, network), averaged(again, network))
