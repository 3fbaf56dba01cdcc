"""Dropout masks: their rate, their scale, and that they can be drawn again."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bertram.model.dropout import LEVELS, NO_DROPOUT, Dropout


def made(rate: float, seed: int = 0) -> Dropout:
    return Dropout(torch.Generator().manual_seed(seed), hidden_rate=rate, attention_rate=rate, head_rate=rate)


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.3, 0.5, 0.9])
def test_elements_are_dropped_at_the_rate_and_the_mean_stays(rate: float) -> None:
    n = 400_000
    dropped = made(rate).hidden(torch.ones(n)) == 0
    assert abs(float(dropped.double().mean()) - rate) < 5 * (rate * (1 - rate) / n) ** 0.5
    assert float(made(rate).hidden(torch.ones(n)).mean()) == pytest.approx(1, abs=5 * (rate / (1 - rate) / n) ** 0.5)


def test_the_four_elements_of_a_draw_and_their_neighbours_are_independent() -> None:
    n, rate = 400_000, 0.3
    dropped = (made(rate).hidden(torch.ones(n)) == 0).double() - rate
    for lag in (1, 2, 3, 4):
        correlation = float((dropped[:-lag] * dropped[lag:]).mean()) / (rate * (1 - rate))
        assert abs(correlation) < 5 / n**0.5
    assert torch.allclose(dropped.view(-1, 4).mean(0), torch.zeros(4, dtype=torch.double), atol=5 * (0.84 / n) ** 0.5)


@settings(deadline=None, max_examples=50)
@given(rate=st.floats(0, 1, exclude_max=True), n=st.integers(0, 9), seed=st.integers(0, 99))
def test_every_element_is_dropped_or_scaled(rate: float, n: int, seed: int) -> None:
    x = made(rate, seed).before_head(torch.ones(n, 3))
    levels = min(round(rate * LEVELS), LEVELS - 1)
    assert x.shape == (n, 3)
    assert set(x.flatten().tolist()) <= {0.0, float(torch.tensor(LEVELS / (LEVELS - levels)))}
    assert levels or bool((x == 1).all())


def test_each_place_has_a_rate_of_its_own() -> None:
    x = torch.ones(64, 64)
    dropout = Dropout(torch.Generator(), hidden_rate=0.5)
    assert dropout.before_head(x) is x
    assert dropout.attention_mask(x) is None
    assert not dropout.drops_attention
    assert bool((dropout.hidden(x) == 0).any())
    assert made(0.5).drops_attention


def test_without_a_generator_nothing_is_dropped() -> None:
    x = torch.ones(8, 8)
    dropout = Dropout(None, 0.5, 0.5, 0.5)
    assert dropout.hidden(x) is x
    assert dropout.attention_mask(x) is None
    assert not dropout.drops_attention
    with NO_DROPOUT.replayed(NO_DROPOUT.state()) as again:
        assert again.hidden(x) is x


def interrupted(dropout: Dropout, state: torch.Tensor) -> None:
    with dropout.replayed(state):
        dropout.hidden(torch.ones(9))
        raise KeyError


def test_masks_are_replayed_and_then_go_on_where_they_were() -> None:
    x = torch.ones(7, 5)
    dropout = made(0.5)
    state = dropout.state()
    first, second = dropout.hidden(x), dropout.attention_mask(x)
    expected_next = made(0.5)
    for _ in range(2):
        expected_next.hidden(x)
    with dropout.replayed(state) as again:
        assert torch.equal(again.hidden(x), first)
        assert second is not None
        mask = again.attention_mask(x)
        assert mask is not None
        assert torch.equal(mask, second)
    assert torch.equal(dropout.hidden(x), expected_next.hidden(x))
    with pytest.raises(KeyError):
        interrupted(dropout, state)
    assert torch.equal(dropout.hidden(x), expected_next.hidden(x))


def test_masks_come_from_the_generator_alone() -> None:
    x = torch.ones(100)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = made(0.5, seed=3).hidden(x)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(made(0.5, seed=3).hidden(x), first)
    assert not torch.equal(made(0.5, seed=4).hidden(x), first)


def test_the_gradient_passes_through_what_is_kept() -> None:
    x = torch.full((50,), 3.0, requires_grad=True)
    y = made(0.4).hidden(x)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(gradient * 3, y.detach())
