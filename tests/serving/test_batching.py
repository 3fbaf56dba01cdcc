"""The queue between many callers and one model."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.common.models import PAIRS, TEXTS, random_model, study_tasks
from torch import Tensor

from bertram.data.examples import Examples
from bertram.prediction.model import Model, Prediction, Text
from bertram.serving.batching import PASS_TOKENS, Batcher, FullError, StoppingError, TooLongError


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
        self.tokens: list[int] = []

    def outputs(self, examples: Examples, batch_size: int = 64) -> Tensor:
        self.asked.release()
        self.gate.wait(30)
        self.sizes.append(len(examples))
        self.tokens.append(sum(len(ids) for ids, _ in examples.batch(range(len(examples))).sequences))
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


async def predict(batcher: Batcher, task: str, texts: Sequence[Text], seconds: float) -> list[Prediction]:
    return (await batcher.predict({task: texts}, seconds))[task]


async def busy(batcher: Batcher, held: Held) -> asyncio.Task[Any]:
    """A first request that is being computed until the gate opens."""
    first = asyncio.create_task(predict(batcher, "sst", TEXTS[:1], 30))
    await asyncio.get_running_loop().run_in_executor(None, held.asked.acquire)
    return first


@pytest.fixture
def held(model: Model) -> Iterator[Held]:
    one = Held(model)
    yield one
    one.gate.set()


def test_a_request_for_several_tasks_is_one(held: Held, model: Model) -> None:
    """It has the room of the queue for all its texts, or is refused before one of them is computed."""

    async def work(batcher: Batcher) -> None:
        held.gate.set()
        both: dict[str, list[Text]] = {"sst": [*TEXTS], "quora": [*PAIRS]}
        for _ in range(2):
            found = await batcher.predict(both, 30)
            assert {task: [one.value for one in part] for task, part in found.items()} == {
                task: [one.value for one in model.predict(task, texts)] for task, texts in both.items()
            }
        held.gate.clear()
        held.asked = threading.Semaphore(0)
        first = await busy(batcher, held)
        second = asyncio.create_task(predict(batcher, "sst", TEXTS[:1], 30))
        await asyncio.sleep(0.01)
        with pytest.raises(FullError):
            await batcher.predict(both, 30)
        assert batcher.waiting == 1
        held.gate.set()
        await asyncio.gather(first, second)

    run(held, work, room=4)


def test_requests_of_several_tasks_each_get_their_own_answers(held: Held, model: Model) -> None:
    async def work(batcher: Batcher) -> None:
        held.gate.set()
        asked = [("sst", TEXTS), ("sts", PAIRS), ("sst", TEXTS[:1]), ("quora", PAIRS[1:]), ("sst", TEXTS[::-1])]
        found = await asyncio.gather(*(predict(batcher, task, texts, 30) for task, texts in asked))  # type: ignore[arg-type]
        for (task, texts), answers in zip(asked, found, strict=True):
            for one, wanted in zip(answers, model.predict(task, texts), strict=True):
                assert one.value == pytest.approx(wanted.value, abs=1e-5)
                assert one.probabilities == pytest.approx(wanted.probabilities, abs=1e-5)

    run(held, work)


@pytest.mark.parametrize(("together", "sizes"), [(64, [1, 6]), (4, [1, 4, 2]), (1, [1, 2, 2, 2])])
def test_what_arrives_while_one_batch_is_computed_is_the_next_batch(
    together: int, sizes: list[int], held: Held
) -> None:
    async def work(batcher: Batcher) -> None:
        first = await busy(batcher, held)
        others = [asyncio.create_task(predict(batcher, "sst", TEXTS[:2], 30)) for _ in range(3)]
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
        second = asyncio.create_task(predict(batcher, "sst", TEXTS, 30))
        await asyncio.sleep(0)
        with pytest.raises(FullError) as refused:
            await predict(batcher, "sst", TEXTS[:2], 30)
        assert refused.value.retry_after >= 1
        third = asyncio.create_task(predict(batcher, "sst", TEXTS[:1], 30))  # it just fits
        await asyncio.sleep(0)
        held.gate.set()
        assert [len(found) for found in await asyncio.gather(first, second, third)] == [1, 3, 1]

    run(held, work, room=4)


def test_who_waits_too_long_is_told_and_not_computed(held: Held) -> None:
    async def work(batcher: Batcher) -> None:
        first = await busy(batcher, held)
        with pytest.raises(TimeoutError):
            await predict(batcher, "sst", TEXTS, 0.02)
        held.gate.set()
        await first
        await predict(batcher, "sst", TEXTS[:2], 30)
        assert held.sizes == [1, 2]

    run(held, work)


def test_stopping_answers_what_was_taken_and_takes_no_more(held: Held) -> None:
    async def work(batcher: Batcher) -> None:
        taken = [await busy(batcher, held)]
        taken += [asyncio.create_task(predict(batcher, "sst", TEXTS, 30)) for _ in range(5)]
        await asyncio.sleep(0)
        stopping = asyncio.create_task(batcher.stop())
        await asyncio.sleep(0)
        with pytest.raises(StoppingError):
            await predict(batcher, "sst", TEXTS, 30)
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
        good = asyncio.create_task(predict(batcher, "sst", TEXTS, 30))
        bad = asyncio.create_task(predict(batcher, "sst", ["one two three four five six"], 30))
        await asyncio.sleep(0)
        held.gate.set()
        await first
        with pytest.raises(MemoryError):
            await bad
        assert len(await good) == 3
        assert batcher.alive

    run(held, work)


LONG = "good " * 100  # truncated to the 64 tokens that the model reads
LARGEST = [LONG] * 256


def test_the_passes_of_a_lone_request_are_the_batches_of_predict(model: Model) -> None:
    texts = [f"good {'film ' * (number % 7)}" for number in range(40)]

    async def work() -> None:
        batcher = Batcher(model, together=16)
        batcher.start()
        assert await predict(batcher, "sst", texts, 30) == model.predict("sst", texts, batch_size=16)
        await batcher.stop()

    asyncio.run(work())


def test_no_pass_has_more_tokens_than_allowed(held: Held) -> None:
    async def work(batcher: Batcher) -> None:
        held.gate.set()
        assert len(await predict(batcher, "sst", LARGEST, 60)) == 256
        assert max(held.tokens) == PASS_TOKENS
        assert held.sizes == [8] * 32

    run(held, work, room=1)  # an empty queue takes a request of any number of texts


@pytest.mark.slow
def test_small_requests_wait_for_the_pass_under_way_and_their_own(held: Held) -> None:
    """However many large requests came before them."""

    async def work(batcher: Batcher) -> None:
        large = [asyncio.create_task(predict(batcher, "sst", LARGEST[:200], 60)) for _ in range(3)]
        await asyncio.get_running_loop().run_in_executor(None, held.asked.acquire)  # the first pass is under way
        small = [asyncio.create_task(predict(batcher, "sst", TEXTS[:1], 60)) for _ in range(16)]
        while batcher.waiting < 3 * 200 - 16 + 16:
            await asyncio.sleep(0.01)
        held.gate.set()
        await asyncio.gather(*small)
        assert len(held.sizes) <= 4  # the two passes, and those that began before the answers were delivered
        assert not any(request.done() for request in large)
        await asyncio.gather(*large)
        assert held.sizes[1] > 16  # the rest of the pass goes to the large ones
        assert sum(held.sizes) == 3 * 200 + 16

    run(held, work)


@pytest.mark.slow
def test_a_large_request_advances_while_small_ones_never_end(held: Held) -> None:
    async def work(batcher: Batcher) -> None:
        held.gate.set()
        ended = asyncio.Event()

        async def caller() -> None:
            while not ended.is_set():
                await predict(batcher, "sst", [*TEXTS, *TEXTS], 60)

        callers = [asyncio.create_task(caller()) for _ in range(8)]  # more than a pass of 8 texts
        await asyncio.sleep(0.05)
        answers = await predict(batcher, "sst", LARGEST[:20], 60)
        ended.set()
        await asyncio.gather(*callers)
        assert len(answers) == 20

    run(held, work, together=8)


def test_large_requests_take_turns(held: Held) -> None:
    async def work(batcher: Batcher) -> None:
        first = await busy(batcher, held)
        requests = [asyncio.create_task(predict(batcher, task, LARGEST[:32], 60)) for task in ("sst", "sst")]
        while batcher.waiting < 64:
            await asyncio.sleep(0.01)
        both = list(batcher._jobs)
        passes = [batcher._next_pass() for _ in range(2)]
        assert [next(iter(taken.places)) for taken in passes] == both
        assert all(len(taken.places) == 2 for taken in passes[1:])
        for request in requests:
            request.cancel()
        held.gate.set()
        await first

    run(held, work)


def test_a_request_whose_caller_is_gone_is_dropped_between_passes(held: Held) -> None:
    async def work(batcher: Batcher) -> None:
        large = asyncio.create_task(predict(batcher, "sst", LARGEST, 60))
        await asyncio.get_running_loop().run_in_executor(None, held.asked.acquire)
        large.cancel()
        await asyncio.gather(large, return_exceptions=True)
        assert (batcher.waiting, batcher.waiting_tokens) == (0, 0)
        held.gate.set()
        assert len(await predict(batcher, "sst", TEXTS, 30)) == 3
        assert held.sizes == [8, 3]

    run(held, work)


def test_the_queue_is_limited_in_tokens(held: Held) -> None:
    """A request of more than one pass takes no room from smaller ones, which are counted apart."""

    async def work(batcher: Batcher) -> None:
        first = await busy(batcher, held)
        with pytest.raises(TooLongError, match="640 tokens; at most 600 in one request"):
            await predict(batcher, "sst", LARGEST[:10], 30)
        large = asyncio.create_task(predict(batcher, "sst", LARGEST[:9], 30))
        while not batcher.waiting:
            await asyncio.sleep(0.01)
        assert batcher.waiting_tokens == 576
        with pytest.raises(FullError):
            await predict(batcher, "sst", LARGEST[:9], 30)
        small = [asyncio.create_task(predict(batcher, "sst", LARGEST[:3], 30)) for _ in range(3)]
        while batcher.waiting < 9 + 9:
            await asyncio.sleep(0.01)
        with pytest.raises(FullError):
            await predict(batcher, "sst", LARGEST[:1], 30)
        held.gate.set()
        assert [len(answers) for answers in await asyncio.gather(first, large, *small)] == [1, 9, 3, 3, 3]

    run(held, work, room_tokens=600)


def test_a_large_request_is_taken_while_small_ones_wait(held: Held) -> None:
    async def work(batcher: Batcher) -> None:
        first = await busy(batcher, held)
        small = [asyncio.create_task(predict(batcher, "sst", LARGEST[:3], 30)) for _ in range(3)]
        while batcher.waiting < 9:
            await asyncio.sleep(0.01)
        large = asyncio.create_task(predict(batcher, "sst", LARGEST[:9], 30))
        while batcher.waiting < 9 + 9:
            await asyncio.sleep(0.01)
        held.gate.set()
        assert [len(answers) for answers in await asyncio.gather(first, large, *small)] == [1, 9, 3, 3, 3]

    run(held, work, room_tokens=600)


def test_a_request_that_fails_in_a_later_pass_leaves_the_queue(model: Model) -> None:
    held = Held(model, poison=64)  # the pieces of the longest rows, which come last

    async def work(batcher: Batcher) -> None:
        held.gate.set()
        texts = [*(["good film"] * 64), *LARGEST[:64]]
        with pytest.raises(MemoryError):
            await predict(batcher, "sst", texts, 30)
        assert batcher.waiting == 0
        assert len(await predict(batcher, "sst", TEXTS, 30)) == 3

    run(held, work)
