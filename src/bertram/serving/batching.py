"""Batching of concurrent requests: a bounded queue, and one thread that computes it pass by pass."""

import asyncio
import heapq
import itertools
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bertram.prediction.model import Prediction, Predictor, Text
from bertram.serving.batched_predict import Row, predict_rows, prepare

log = logging.getLogger(__name__)
Answer = list[Prediction] | Exception
Watch = Callable[[int, float], None]  # called with the number of texts and the seconds of each pass
SMOOTHING = 0.9  # weight of the past in the time that a token takes
PASS_TOKENS = 512  # maximum number of tokens in a pass of more than one text
TEXTS_ALONE = 16  # maximum number of texts in a pass, if each request is computed alone
TURN_SHARE = 4  # the request whose turn it is gets a pass's first text, and at least a quarter of the pass
INLINE_CHARACTERS = 2000  # shorter requests are tokenized on the event loop, longer ones in another thread


class FullError(Exception):
    """The queue has no room for a request.

    Attributes:
        retry_after: estimated seconds until the current queue is computed, a whole number.
    """

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"too many texts are waiting; try again in {retry_after} s")
        self.retry_after = retry_after


class TooLongError(Exception):
    """A request has more tokens than may ever wait."""


class StoppingError(Exception):
    """The server is stopping and accepts no requests."""


@dataclass(eq=False)
class _Job:
    """A request in the queue.

    Attributes:
        rows: inputs.
        answer: result for the caller.
        order: places of the rows that are not taken yet, longest first.
        waiting_cost: tokens of these rows.
        small: whether all rows fit into one pass.
        results: predictions by place.
    """

    rows: list[Row]
    answer: asyncio.Future[list[Prediction]]
    order: list[int] = field(init=False)
    waiting_cost: int = field(init=False)
    small: bool = field(init=False)
    results: dict[int, Prediction] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Stable, from short to long when read from its end: the batches that `Model.predict` makes.
        self.order = sorted(range(len(self.rows)), key=lambda place: self.rows[place].length)[::-1]
        self.waiting_cost = sum(row.cost for row in self.rows)
        self.small = self.waiting_cost <= PASS_TOKENS

    @property
    def next_cost(self) -> int:
        """Tokens of the next row."""
        return self.rows[self.order[-1]].cost


@dataclass
class _Pass:
    """The rows that are computed together.

    Attributes:
        texts: maximum number of rows.
        tokens: maximum number of tokens, if there is more than one row.
        places: places of the rows by request.
        size: number of rows.
        cost: number of tokens.
    """

    texts: int
    tokens: int
    places: dict[_Job, list[int]] = field(default_factory=dict)
    size: int = 0
    cost: int = 0

    def has_room(self, job: _Job, share: int = 1) -> bool:
        """Whether the next row of a request fits into this part of the pass; the first row always does."""
        return not self.size or (self.size * share < self.texts and (self.cost + job.next_cost) * share <= self.tokens)

    def take(self, job: _Job) -> None:
        """Take the next row of a request."""
        cost = job.next_cost
        self.places.setdefault(job, []).append(job.order.pop())
        job.waiting_cost -= cost
        self.size += 1
        self.cost += cost


class Batcher:
    """Predictions for many callers with one model.

    Requests are cut into passes of a limited number of texts and tokens. Each pass begins with the request whose turn
    it is; the rest of the pass goes to the requests that have the fewest tokens left. So a small request waits for the
    pass that is being computed and for its own, however large the others are, and a large one advances with each
    of its turns. A large request takes no room in the queue from small ones, those of one pass. A request whose caller
    is gone is dropped between two passes.

    Args:
        model: a model or an ensemble.
        together: maximum number of texts in a pass; 1 computes each request alone.
        room: maximum number of texts in the queue.
        room_tokens: maximum number of tokens of the large requests in the queue, and of the small ones, which have at
            most a pass and are counted apart.
        watch: called after each pass.
    """

    def __init__(
        self,
        model: Predictor,
        *,
        together: int = 64,
        room: int = 2048,
        room_tokens: int = 1 << 17,
        watch: Watch = lambda _texts, _seconds: None,
    ) -> None:
        self.model, self.together, self.watch = model, together, watch
        self.room, self.room_tokens = room, room_tokens
        self._jobs: deque[_Job] = deque()  # those with rows that are not taken, in the order of their turns
        self._changed = threading.Condition()
        self._stopping = False
        self._seconds_per_token = 0.0
        self._thread = threading.Thread(target=self._work, name="predict", daemon=True)

    @property
    def waiting(self) -> int:
        """Number of texts in the queue."""
        with self._changed:
            return sum(len(job.order) for job in self._jobs)

    @property
    def waiting_tokens(self) -> int:
        """Number of tokens in the queue."""
        with self._changed:
            return sum(job.waiting_cost for job in self._jobs)

    @property
    def alive(self) -> bool:
        """True while requests are accepted and computed."""
        return self._thread.is_alive() and not self._stopping

    def start(self) -> None:
        """Start computing; call it on the event loop that will send requests."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def predict(self, texts: Mapping[str, Sequence[Text]], seconds: float) -> dict[str, list[Prediction]]:
        """Predictions of texts or pairs by task, in order.

        Args:
            texts: task -> texts that `bertram.prediction.model.checked` has accepted.
            seconds: maximum time to wait.

        Raises:
            DataError: a target has no token.
            BertramError: an output is not finite.
            FullError: the queue is full.
            StoppingError: the server stops.
            TimeoutError: no answer in time.
            TooLongError: the request has more tokens than may wait.
        """
        async with asyncio.timeout(seconds):
            count = sum(map(len, texts.values()))
            self._check_room(count)
            if sum(map(_characters, texts.values())) <= INLINE_CHARACTERS:
                rows = self._rows(texts)
            else:
                rows = await asyncio.to_thread(self._rows, texts)
            job = _Job(rows, self._loop.create_future())
            if job.waiting_cost > self.room_tokens:
                raise TooLongError(f"{job.waiting_cost} tokens; at most {self.room_tokens} in one request")
            with self._changed:
                self._check_room(count, job)
                self._jobs.append(job)
                self._changed.notify()
            try:
                predictions = iter(await job.answer)
                return {task: list(itertools.islice(predictions, len(part))) for task, part in texts.items()}
            finally:
                with self._changed:
                    self._drop(job)

    def _rows(self, texts: Mapping[str, Sequence[Text]]) -> list[Row]:
        return [row for task, part in texts.items() for row in prepare(self.model, task, part)]

    async def stop(self) -> None:
        """Accept no more requests, and answer those in the queue."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        await self._loop.run_in_executor(None, self._thread.join)

    def _check_room(self, texts: int, job: _Job | None = None) -> None:
        """Refuse a request for which the queue has no room; before it is tokenized, only its texts are counted."""
        with self._changed:
            if self._stopping:
                raise StoppingError
            waiting, waiting_tokens = self.waiting, self.waiting_tokens
            full = waiting + texts > self.room
            if job is not None:
                counted = sum(other.waiting_cost for other in self._jobs if other.small == job.small)
                full |= counted + job.waiting_cost > self.room_tokens
            if waiting and full:
                raise FullError(max(1, math.ceil(waiting_tokens * self._seconds_per_token)))

    def _drop(self, job: _Job) -> None:
        """Take a request out of the queue, if it is there; the condition must be held."""
        if job in self._jobs:
            self._jobs.remove(job)

    def _work(self) -> None:
        while (batch := self._next_pass()).size:
            start = time.perf_counter()
            answers = self._compute(batch.places)
            seconds = time.perf_counter() - start
            self._seconds_per_token = SMOOTHING * self._seconds_per_token + (1 - SMOOTHING) * seconds / batch.cost
            self.watch(batch.size, seconds)
            with self._changed:
                for job, _ in answers:
                    self._drop(job)  # a failed request may have further rows
            self._loop.call_soon_threadsafe(self._deliver, answers)

    def _next_pass(self) -> _Pass:
        """The rows of the next pass; none when the server stops and the queue is empty."""
        alone = self.together == 1
        batch = _Pass(TEXTS_ALONE if alone else self.together, PASS_TOKENS)
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._stopping)
            if not self._jobs:
                return batch
            turn = self._jobs[0]
            self._jobs.rotate(-1)
            while turn.order and batch.has_room(turn, 1 if alone else TURN_SHARE):
                batch.take(turn)
            if not alone:
                self._fill(batch)
            self._jobs = deque(job for job in self._jobs if job.order)
        return batch

    def _fill(self, batch: _Pass) -> None:
        """Fill the rest of a pass with rows of the requests that have the fewest tokens left."""
        heap = [(job.waiting_cost, number, job) for number, job in enumerate(self._jobs) if job.order]
        heapq.heapify(heap)
        while heap:
            _, _, job = heapq.heappop(heap)
            while job.order and batch.has_room(job):
                batch.take(job)

    def _compute(self, places: dict[_Job, list[int]]) -> list[tuple[_Job, Answer]]:
        """Compute rows of some requests, alone if they fail together; gives the answers that are then complete."""
        rows = [job.rows[place] for job, chosen in places.items() for place in chosen]
        try:
            predictions = iter(predict_rows(self.model, rows))
        except Exception as error:  # the thread must survive any error
            if len(places) > 1:
                return [answer for job, chosen in places.items() for answer in self._compute({job: chosen})]
            log.exception("a request failed")
            return [(job, error) for job in places]
        for job, chosen in places.items():
            job.results |= {place: next(predictions) for place in chosen}
        complete = [job for job in places if len(job.results) == len(job.rows)]
        return [(job, [job.results[place] for place in range(len(job.rows))]) for job in complete]

    def _deliver(self, answers: list[tuple[_Job, Answer]]) -> None:
        """Give answers to their callers; on the event loop."""
        for job, answer in answers:
            if job.answer.done():  # its caller no longer waits
                continue
            if isinstance(answer, Exception):
                job.answer.set_exception(answer)
            else:
                job.answer.set_result(answer)


def _characters(texts: Sequence[Text]) -> int:
    return sum(len(text) if isinstance(text, str) else sum(map(len, text)) for text in texts)
