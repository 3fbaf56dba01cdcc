"""Batching of concurrent requests: a bounded queue and one computing thread."""

import asyncio
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bertram.prediction.model import Prediction, Predictor, Text
from bertram.serving.batched_predict import predict_together

log = logging.getLogger(__name__)
Answer = list[Prediction] | Exception
Watch = Callable[[int, float], None]  # called with the number of texts and the seconds of each batch
SMOOTHING = 0.9  # weight of the past in the time a text takes


class FullError(Exception):
    """The queue has no room for a request.

    Attributes:
        retry_after: estimated seconds until the current queue is computed, a whole number.
    """

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"too many texts are waiting; try again in {retry_after} s")
        self.retry_after = retry_after


class StoppingError(Exception):
    """The server is stopping and accepts no requests."""


@dataclass(eq=False)
class _Job:
    task: str
    texts: Sequence[Text]
    answer: asyncio.Future[list[Prediction]]


class Batcher:
    """Predictions for many callers with one model.

    Requests that arrive while a batch is computed form the next batch. So batches grow with the load, and a single
    request is computed at once.

    Args:
        model: a model or an ensemble.
        together: maximum number of texts in a batch; 1 computes each request alone.
        room: maximum number of texts in the queue.
        watch: called after each batch.
    """

    def __init__(
        self, model: Predictor, *, together: int = 64, room: int = 2048, watch: Watch = lambda _texts, _seconds: None
    ) -> None:
        self.model, self.together, self.room, self.watch = model, together, room, watch
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._waiting = 0
        self._seconds_per_text = 0.0
        self._thread = threading.Thread(target=self._work, name="predict", daemon=True)

    @property
    def waiting(self) -> int:
        """Number of texts in the queue."""
        return self._waiting

    @property
    def alive(self) -> bool:
        """True while requests are accepted and computed."""
        return self._thread.is_alive() and not self._stopping

    def start(self) -> None:
        """Start computing; call it on the event loop that will send requests."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def predict(self, task: str, texts: Sequence[Text], seconds: float) -> list[Prediction]:
        """Predictions of texts or pairs, in order.

        Args:
            task: name of the task.
            texts: texts that `bertram.prediction.model.checked` has accepted.
            seconds: maximum time to wait.

        Raises:
            FullError: the queue is full.
            StoppingError: the server stops.
            TimeoutError: no answer in time.
        """
        job = _Job(task, texts, self._loop.create_future())
        with self._changed:
            if self._stopping:
                raise StoppingError
            if self._waiting and self._waiting + len(texts) > self.room:
                raise FullError(max(1, math.ceil(self._waiting * self._seconds_per_text)))
            self._jobs.append(job)
            self._waiting += len(texts)
            self._changed.notify()
        async with asyncio.timeout(seconds):
            return await job.answer

    async def stop(self) -> None:
        """Accept no more requests, and answer those in the queue."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        await self._loop.run_in_executor(None, self._thread.join)

    def _work(self) -> None:
        while jobs := self._take():
            start = time.perf_counter()
            answers = self._compute(jobs)
            seconds, texts = time.perf_counter() - start, sum(len(job.texts) for job in jobs)
            self._seconds_per_text = SMOOTHING * self._seconds_per_text + (1 - SMOOTHING) * seconds / texts
            self.watch(texts, seconds)
            self._loop.call_soon_threadsafe(_deliver, jobs, answers)

    def _take(self) -> list[_Job]:
        """The next requests that fit into one batch; at least one, whatever its size; none when the queue is closed."""
        jobs: list[_Job] = []
        size = 0
        with self._changed:
            while not jobs:
                self._changed.wait_for(lambda: self._jobs or self._stopping)
                if not self._jobs:
                    return []
                while self._jobs and (not jobs or size + len(self._jobs[0].texts) <= self.together):
                    job = self._jobs.popleft()
                    self._waiting -= len(job.texts)
                    if not job.answer.cancelled():  # its caller no longer waits
                        jobs.append(job)
                        size += len(job.texts)
        return jobs

    def _compute(self, jobs: list[_Job]) -> list[Answer]:
        """An answer for each job; if the batch fails, each job is computed alone."""
        try:
            return list(predict_together(self.model, [(job.task, job.texts) for job in jobs], self.together))
        except Exception as error:  # the thread must survive any error
            log.exception("a batch of %d requests failed", len(jobs))
            return [error] if len(jobs) == 1 else [self._compute([job])[0] for job in jobs]


def _deliver(jobs: list[_Job], answers: list[Answer]) -> None:
    for job, answer in zip(jobs, answers, strict=True):
        if job.answer.done():
            continue
        if isinstance(answer, Exception):
            job.answer.set_exception(answer)
        else:
            job.answer.set_result(answer)
