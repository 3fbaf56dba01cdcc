"""The queue between many callers and one model."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.common.models import PAIRS, TEXTS, random_model, study_tasks
from torch import Tensor

from bertram.data.examples import Examples
from bertram.prediction.model import Model
from bertram.serving.batching import Batcher, FullError, StoppingError


@pytest.fixture(scope="module")
def model(tiny_encoder: Path) -> Model:
    return random_model(tiny_encoder, study_tasks())


class Held:
    """A model that computes only while its gate is open, and notes how many examples it is given at a time."""

    def __init__(self, inner: Model, *, poison: int | None = None) -> None:
        self.inner, self.poison = inner, poison
        self.tasks, self.tokenizer, self.max_tokens = inner.tasks, inner.tokenizer, inner.max_tokens
        self.gate, self.asked = threading.Event(), threading.Semaphore(0)
        self.sizes: list[int] = []

    def outputs(self, examples: Examples, batch_size: int = 64) -> Tensor:
        self.asked.release()
        self.gate.wait(30)
        self.sizes.append(len(examples))
        if self.poison is not None and any(len(pieces[0]) == self.poison for pieces in examples.pieces):
            raise MemoryError("too much")
        return self.inner.outputs(examples, batch_size)


def run(held: Held, work: Callable[[Batcher], Coroutine[Any, Any, None]], **settings: Any) -> None:
    async def all_of_it() -> None:
        batcher = Batcher(held, **settings)
        batcher.start()
        await work(batcher)
        held.gate.set()
        await batcher.stop()

    asyncio.run(all_of_it())


async def busy(batcher: Batcher, held: Held) -> asyncio.Task[Any]:
    """A first request that is being computed until the gate opens."""
    first = asyncio.create_task(batcher.predict("sst", TEXTS[:1], 30))
    await asyncio.get_running_loop().run_in_executor(None, held.asked.acquire)
    return first


@pytest.fixture
def held(model: Model) -> Iterator[Held]:
    one = Held(model)
    yield one
    one.gate.set()


def test_requests_of_several_tasks_each_get_their_own_answers(held: Held, model: Model) -> None:
    async def work(batcher: Batcher) -> None:
        held.gate.set()
        asked = [("sst", TEXTS), ("sts", PAIRS), ("sst", TEXTS[:1]), ("quora", PAIRS[1:]), ("sst", TEXTS[::-1])]
        found = await asyncio.gather(*(batcher.predict(task, texts, 30) for task, texts in asked))  # type: ignore[arg-type]
        for (task, texts), answers in zip(asked, found, strict=True):
            for one, wanted in zip(answers, model.predict(task, texts), strict=True):  # type: ignore[arg-type]
                assert one.value == pytest.approx(wanted.value, abs=1e-5)
                assert one.probabilities == pytest.approx(wanted.probabilities, abs=1e-5)

    run(held, work)


@pytest.mark.parametrize(("together", "sizes"), [(64, [1, 6]), (4, [1, 4, 2]), (1, [1, 2, 2, 2])])
def test_what_arrives_while_one_batch_is_computed_is_the_next_batch(
    together: int, sizes: list[int], held: Held
) -> None:
    async def work(batcher: Batcher) -> None:
        first = await busy(batcher, held)
        others = [asyncio.create_task(batcher.predict("sst", TEXTS[:2], 30)) for _ in range(3)]
        while batcher.waiting < 6:
            await asyncio.sleep(0)
        held.gate.set()
        await asyncio.gather(first, *others)
        assert held.sizes == sizes
        assert batcher.waiting == 0

    run(held, work, together=together)


def test_a_full_queue_refuses_and_says_when_to_come_again(held: Held) -> None:
    async def work(batcher: Batcher) -> None:
        first = await busy(batcher, held)
        second = asyncio.create_task(batcher.predict("sst", TEXTS, 30))
        await asyncio.sleep(0)
        with pytest.raises(FullError) as refused:
            await batcher.predict("sst", TEXTS[:2], 30)
        assert refused.value.retry_after >= 1
        third = asyncio.create_task(batcher.predict("sst", TEXTS[:1], 30))  # it just fits
        await asyncio.sleep(0)
        held.gate.set()
        assert [len(found) for found in await asyncio.gather(first, second, third)] == [1, 3, 1]

    run(held, work, room=4)


def test_who_waits_too_long_is_told_and_not_computed(held: Held) -> None:
    async def work(batcher: Batcher) -> None:
        first = await busy(batcher, held)
        with pytest.raises(TimeoutError):
            await batcher.predict("sst", TEXTS, 0.02)
        held.gate.set()
        await first
        await batcher.predict("sst", TEXTS[:2], 30)
        assert held.sizes == [1, 2]

    run(held, work)


def test_stopping_answers_what_was_taken_and_takes_no_more(held: Held) -> None:
    async def work(batcher: Batcher) -> None:
        taken = [await busy(batcher, held)]
        taken += [asyncio.create_task(batcher.predict("sst", TEXTS, 30)) for _ in range(5)]
        await asyncio.sleep(0)
        stopping = asyncio.create_task(batcher.stop())
        await asyncio.sleep(0)
        with pytest.raises(StoppingError):
            await batcher.predict("sst", TEXTS, 30)
        assert not batcher.alive
        held.gate.set()
        assert [len(found) for found in await asyncio.gather(*taken)] == [1, 3, 3, 3, 3, 3]
        await stopping

    run(held, work)


def test_a_request_that_fails_does_not_take_others_with_it(model: Model) -> None:
    [poison] = model.tokenizer.encode(["one two three four five six"])
    held = Held(model, poison=len(poison))

    async def work(batcher: Batcher) -> None:
        first = await busy(batcher, held)
        good = asyncio.create_task(batcher.predict("sst", TEXTS, 30))
        bad = asyncio.create_task(batcher.predict("sst", ["one two three four five six"], 30))
        await asyncio.sleep(0)
        held.gate.set()
        await first
        with pytest.raises(MemoryError):
            await bad
        assert len(await good) == 3
        assert batcher.alive

    run(held, work)
