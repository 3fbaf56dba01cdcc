"""A trained model computed by onnxruntime; without PyTorch, unless its outputs are asked for as tensors.

Nothing is padded. In fp32 sequences of one length are computed together, so that the weights are read from memory once
for some hundred tokens; the hidden states are the same to the bit as for a sequence alone. In int8, where one scale
holds for all that is computed together, each sequence is computed alone. So no answer depends on those beside it.
"""

import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from bertram.data.tokenizer import Tokenizer
from bertram.errors import RunError
from bertram.prediction.answers import Pieces, Prediction, checked_texts
from bertram.prediction.engines.cache import GRAPH, PAIRS, Manifest
from bertram.prediction.frames import predict_frame
from bertram.tasks import Task

if TYPE_CHECKING:
    from torch import Tensor

    from bertram.data.examples import Examples

TOGETHER_TOKENS = 512  # maximum number of tokens of sequences of one length that are computed together
BATCHES_A_THREAD = 4  # least number of equal batches that a call is cut into for each thread
SLICES = 8  # parts into which the batches of a call are cut for each thread
Array = npt.NDArray[Any]
Sequence_ = tuple[tuple[int, ...], tuple[int, ...]]  # token ids and segments


@dataclass(frozen=True)
class Answers:
    """The answers of a task to some examples.

    Attributes:
        meaning: probabilities, [n, K], or scores, [n].
        values: decisions, [n].
    """

    meaning: Array
    values: Array


class OnnxModel:
    """A trained multitask model with its tokenizer, computed by onnxruntime.

    Args:
        directory: directory of the graphs.
        manifest: description of the graphs.
        tasks: task -> its definition.
        tokenizer: tokenizer of the encoder.
        max_tokens: maximum sequence length in tokens.
        both_orders: True if cross-encoded pairs are read in both orders.

    Attributes:
        engine: onnx or onnx-int8.
    """

    def __init__(
        self,
        directory: Path,
        manifest: Manifest,
        tasks: dict[str, Task],
        tokenizer: Tokenizer,
        *,
        max_tokens: int,
        both_orders: bool,
    ) -> None:
        self.manifest, self.tasks, self.tokenizer = manifest, tasks, tokenizer
        self.engine, self.max_tokens, self.both_orders = manifest.engine, max_tokens, both_orders
        self.threads = thread_count()
        within = self.threads if manifest.wide else 1
        self._session = open_session(directory / GRAPH, within)
        self._pairs = open_session(directory / PAIRS, 1) if (directory / PAIRS).is_file() else None
        self._options = onnxruntime.RunOptions()
        self._options.only_execute_path_to_fetches = True
        self._workers = 1 if manifest.wide else self.threads
        self._pool: ThreadPoolExecutor | None = None
        self._background: ThreadPoolExecutor | None = None
        self._starting = threading.Lock()

    def predict(self, task: str, texts: Any, batch_size: int = 64) -> list[Prediction]:  # noqa: ARG002
        """Predict texts, or pairs of texts; see `bertram.prediction.model.Model.predict`."""
        rows = checked_texts(self.tasks, task, texts)
        return self.predict_pieces(task, self.tokenizer.encode_rows(rows)) if rows else []

    def predict_frame(self, task: str, table: Any, batch_size: int = 64) -> Any:
        """A table with a column of predictions; see `bertram.prediction.frames.predict_frame`."""
        return predict_frame(self, task, table, batch_size)

    def predict_pieces(
        self, task: str, pieces: Sequence[Pieces], stop: threading.Event | None = None
    ) -> list[Prediction]:
        """Predict tokenized inputs of one task; see `predict_mixed`."""
        return self.predict_mixed({task: pieces}, stop)[task]

    def predict_mixed(
        self, inputs: Mapping[str, Sequence[Pieces]], stop: threading.Event | None = None
    ) -> dict[str, list[Prediction]]:
        """Predict tokenized inputs of several tasks; a text that several of them read is encoded once.

        Args:
            inputs: task -> token ids of the text or texts of each input.
            stop: set from another thread to give up.

        Raises:
            RunError: an output is not finite.
            CancelledError: `stop` was set.
        """
        return {name: self._predictions(self.tasks[name], part) for name, part in self.answers(inputs, stop).items()}

    def outputs(self, examples: "Examples", batch_size: int = 64) -> "Tensor":  # noqa: ARG002 - see above
        """Probabilities [n, K] or scores [n] as a tensor; see `bertram.prediction.model.Model.outputs`."""
        import torch  # noqa: PLC0415 - most callers do without

        name = examples.task.name
        return torch.from_numpy(self.answers({name: examples.pieces})[name].meaning)

    def answers(
        self, inputs: Mapping[str, Sequence[Pieces]], stop: threading.Event | None = None
    ) -> dict[str, Answers]:
        """Probabilities or scores, and decisions, of several tasks.

        Args:
            inputs: task -> token ids of the text or texts of each input, at least one.
            stop: set from another thread to give up.

        Raises:
            RunError: an output is not finite.
            CancelledError: `stop` was set.
        """
        numbers: dict[Sequence_, int] = {}  # distinct sequences
        rows = {
            name: [
                [numbers.setdefault(sequence, len(numbers)) for sequence in self._sequences(self.tasks[name], texts)]
                for texts in pieces
            ]
            for name, pieces in inputs.items()
        }
        computed = self._compute(list(numbers), self._fetched(inputs), stop or threading.Event())
        return {name: self._answers(name, np.array(places), computed) for name, places in rows.items()}

    def start_predicting(self, task: str, pieces: Sequence[Pieces], stop: threading.Event) -> Future[list[Prediction]]:
        """Begin to predict tokenized inputs while the caller does something else.

        Args:
            task: name of one of `self.tasks`.
            pieces: token ids of the text or texts of each input.
            stop: set by the caller to give up; the future then has a CancelledError.
        """
        with self._starting:
            self._background = self._background or ThreadPoolExecutor(1, "predict")
        return self._background.submit(self.predict_pieces, task, pieces, stop)

    def _sequences(self, task: Task, pieces: Pieces) -> list[Sequence_]:
        if task.encodings_per_example == 2:
            inputs: list[Pieces] = [(piece,) for piece in pieces]
        elif self.manifest.tasks[task.name].rows == 2:
            inputs = [pieces, pieces[::-1]]
        else:
            inputs = [pieces]
        joined = (self.tokenizer.joined(part, self.max_tokens) for part in inputs)
        return [(tuple(tokens), tuple(segments)) for tokens, segments, _ in joined]

    def _fetched(self, names: Mapping[str, Any]) -> list[str]:
        fetched = []
        for name in names:
            task = self.manifest.tasks[name]
            fetched += [task.output, task.value] if task.rows == 1 else [task.reads]
        return list(dict.fromkeys(fetched))

    def _compute(self, sequences: list[Sequence_], fetched: list[str], stop: threading.Event) -> dict[str, Array]:
        """The outputs of each sequence, in order."""
        batches = list(_equal_lengths(sequences, self._tokens_together(sequences)))
        if len(batches) == 1 or self._workers == 1:
            results = [self._run(sequences, batch, fetched) for batch in _until(stop, batches)]
        else:
            results = self._in_threads(sequences, batches, fetched, stop)
        order = np.concatenate([np.array(batch) for batch in batches])
        places = np.empty_like(order)
        places[order] = np.arange(len(order))
        return {
            name: np.concatenate([result[number] for result in results])[places] for number, name in enumerate(fetched)
        }

    def _tokens_together(self, sequences: list[Sequence_]) -> int:
        """Maximum number of tokens computed together; small enough that all threads have work."""
        if self.engine != "onnx":
            return 1
        if self._workers == 1:
            return TOGETHER_TOKENS
        tokens = sum(len(sequence[0]) for sequence in sequences)
        return min(TOGETHER_TOKENS, tokens // (BATCHES_A_THREAD * self._workers))

    def _in_threads(
        self, sequences: list[Sequence_], batches: list[list[int]], fetched: list[str], stop: threading.Event
    ) -> list[list[Array]]:
        with self._starting:
            self._pool = self._pool or ThreadPoolExecutor(self._workers, "onnx")
        size = max(1, len(batches) // (SLICES * self._workers))
        slices = [batches[begin : begin + size] for begin in range(0, len(batches), size)]

        def run(part: list[list[int]]) -> list[list[Array]]:
            return [self._run(sequences, batch, fetched) for batch in _until(stop, part)]

        waiting: list[Future[list[list[Array]]]] = [self._pool.submit(run, part) for part in reversed(slices)]
        try:  # the longest sequences first, so that no thread is left with one of them at the end
            return [result for future in reversed(waiting) for result in future.result()]
        finally:
            for future in waiting:
                future.cancel()

    def _run(self, sequences: list[Sequence_], batch: list[int], fetched: list[str]) -> list[Array]:
        feed = {"input_ids": np.array([sequences[number][0] for number in batch])}
        if self.manifest.segments:
            feed["token_type_ids"] = np.array([sequences[number][1] for number in batch])
        results: list[Array] = self._session.run(fetched, feed, self._options)
        return results

    def _answers(self, name: str, rows: Array, computed: Mapping[str, Array]) -> Answers:
        """The answers of a task.

        Args:
            name: name of the task.
            rows: sequences of each example, [n, 1] or [n, 2].
            computed: outputs of the sequences.
        """
        task = self.manifest.tasks[name]
        if task.rows == 1:
            meaning, values = (computed[output][rows[:, 0]] for output in (task.output, task.value))
        else:
            assert self._pairs is not None
            feed = {f"{name}.{number}": computed[task.reads][rows[:, number]] for number in range(2)}
            meaning, values = self._pairs.run([task.output, task.value], feed | self._unused(name), self._options)
        if not np.isfinite(meaning).all():
            raise RunError(f"task {name}: outputs of the model are not finite; its weights are damaged, or its "
                           "training diverged")  # fmt: skip
        return Answers(meaning, values)

    def _unused(self, name: str) -> dict[str, Array]:
        """Empty inputs of the other tasks, which onnxruntime demands."""
        assert self._pairs is not None
        unused = (part for part in self._pairs.get_inputs() if part.name.rsplit(".", 1)[0] != name)
        return {part.name: np.zeros([0, *part.shape[1:]], np.float32) for part in unused}

    @staticmethod
    def _predictions(task: Task, answers: Answers) -> list[Prediction]:
        values = answers.values.tolist()
        if not task.class_names:
            return [Prediction(value) for value in values]
        space = task.label_space
        return [
            Prediction(space.external(value), tuple(row), space.label(value))
            for value, row in zip(values, answers.meaning.tolist(), strict=True)
        ]


def _until(stop: threading.Event, batches: Iterable[list[int]]) -> Iterator[list[int]]:
    """The batches; CancelledError once `stop` is set."""
    for batch in batches:
        if stop.is_set():
            raise CancelledError
        yield batch


def _equal_lengths(sequences: list[Sequence_], tokens: int) -> Iterator[list[int]]:
    """Batches of sequences of one length, from short to long.

    Args:
        sequences: sequences.
        tokens: maximum number of tokens of a batch of several sequences.
    """
    batch: list[int] = []
    for number in sorted(range(len(sequences)), key=lambda place: len(sequences[place][0])):
        length = len(sequences[number][0])
        if batch and (len(sequences[batch[0]][0]) != length or (len(batch) + 1) * length > tokens):
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


def open_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """A session for a graph.

    Args:
        path: path of the graph.
        threads: threads that compute one call.

    Raises:
        RunError: onnxruntime cannot run the graph.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a class of its own for each fault, without a common one
        reason = str(error).splitlines()[0]
        raise RunError(f"{path}: onnxruntime cannot run the graph ({reason}); use --engine torch") from None


def thread_count() -> int:
    """Threads to compute with: OMP_NUM_THREADS, or else the cores that this process may use."""
    threads = os.environ.get("OMP_NUM_THREADS", "")
    if threads.isdecimal() and int(threads) > 0:
        return int(threads)
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, usable // 2 if _two_threads_a_core() else usable)


def _two_threads_a_core() -> bool:
    try:
        return Path("/sys/devices/system/cpu/smt/active").read_text(encoding="ascii").strip() == "1"
    except OSError:
        return False
