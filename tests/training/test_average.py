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
    average, network, path = walk(100, method="tail", start=0.5)
    expected = torch.stack([path[step - 1] for step in range(50, 101, EVERY)]).mean(0)
    torch.testing.assert_close(averaged(average, network), expected)


def test_an_exponential_average_forgets_its_start_and_then_at_its_rate() -> None:
    decay = 0.97
    average, network, path = walk(200, method="ema", decay=decay)
    mean = torch.zeros(2, 3)
    for number, step in enumerate(range(EVERY, 201, EVERY), 1):
        share = max(1 / number, 1 - decay**EVERY)
        mean = (1 - share) * mean + share * path[step - 1]
    torch.testing.assert_close(averaged(average, network), mean)


def test_a_slow_exponential_average_is_the_plain_mean() -> None:
    average, network, path = walk(60, method="ema", decay=0.99999)
    torch.testing.assert_close(averaged(average, network), torch.stack(path[EVERY - 1 :: EVERY]).mean(0))


@pytest.mark.parametrize("config", [{"method": "none"}, {"method": "tail", "start": 0.9}])
def test_without_an_average_yet_the_network_s_own_weights_are_applied(config: dict[str, Any]) -> None:
    average, network, path = walk(EVERY - 1, **config)
    assert torch.equal(averaged(average, network), path[-1])


def test_the_network_gets_its_own_weights_back_even_after_a_failure() -> None:
    average, network, path = walk(30, method="ema", decay=0.5)
    first = averaged(average, network)
    assert torch.equal(network.weight, path[-1])
    with pytest.raises(RuntimeError), average.applied():
        torch.ones(2) @ network.weight.new_ones(3)  # the evaluation fails
    assert torch.equal(network.weight, path[-1])
    assert torch.equal(averaged(average, network), first)


@pytest.mark.parametrize("method", ["ema", "tail"])
def test_an_average_goes_on_from_its_state(method: str) -> None:
    average, network, _ = walk(60, method=method, decay=0.9, start=0.2)
    again = Average(network, average.config, total_steps=60)
    state = average.state_dict()
    again.load_state_dict({**state, "weights": [weight.clone() for weight in state["weights"]]})
    with torch.no_grad():
        network.weight.add_(1.0)
    average.update(70)
    again.update(70)
    assert torch.equal(averaged(average, network), averaged(again, network))
