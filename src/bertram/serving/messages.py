"""Requests and answers: reading, limits and JSON schemas, from the definition of a task."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fastapi.responses import JSONResponse
from pydantic_core import from_json

from bertram.errors import BertramError
from bertram.label_spaces import Schema, object_schema
from bertram.prediction import abstention
from bertram.prediction.model import Prediction, Text, checked
from bertram.runs.typed_json import JsonObject
from bertram.tasks import Task

FAULTS_SHOWN = 5
NOT_EMPTY = r"^[^\x00]*[^\s\x00\x1c-\x1f\x85][^\x00]*$"  # Python's spaces, of which JSON schema's \s lacks a few


@dataclass(frozen=True)
class Limits:
    """Limits on requests."""

    body_bytes: int = 1 << 20
    texts: int = 256  # in one request
    characters: int = 10_000  # of one text
    waiting: int = 2048  # texts in the queue
    waiting_tokens: int = 1 << 17  # tokens in the queue, and so in one request
    together: int = 64  # texts computed together; 1 computes each request alone
    requests: int = 448  # in progress at once, health and metrics apart
    client_requests: int = 256  # of these, from one address
    seconds: float = 30.0  # until an answer
    body_seconds: float = 10.0  # until a request's head has arrived, and then its body
    abstain_below: float | None = None  # confidence below which a prediction is withheld


class BadRequestError(Exception):
    """A request that cannot be answered.

    Attributes:
        status: HTTP status code.
        message: fault and remedy.
        retry_after: seconds after which the request may succeed; None: never as it is.
    """

    def __init__(self, status: int, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.retry_after = status, message, retry_after

    def response(self) -> JSONResponse:
        """The answer to the request."""
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return problem(self.status, self.message, headers)


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The answer to every request that fails: a status, and what is wrong."""
    return JSONResponse({"detail": detail}, status, headers)


def check_content_type(content_type: str) -> None:
    """Demand JSON; a web page of another site cannot send it without permission.

    Raises:
        BadRequestError: 415 for any other content type.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise BadRequestError(415, f"content type {media_type or 'missing'}; send application/json")


def fields(task: Task) -> tuple[str, str]:
    """Names of the request fields for one example and for several."""
    return ("pair", "pairs") if task.pair else ("text", "texts")


def read_request(task: Task, body: bytes, limits: Limits) -> list[Text]:
    """The texts or pairs in a request's body.

    Raises:
        BadRequestError: 400 if the body is not JSON, 422 if it does not fit the task or exceeds a limit.
    """
    return _texts(task, _json(body), limits)


def read_request_for_tasks(tasks: Mapping[str, Task], body: bytes, limits: Limits) -> dict[str, list[Text]]:
    """The texts or pairs in the body of a request for several tasks, by task.

    Raises:
        BadRequestError: 400 if the body is not JSON, 422 if it does not fit the tasks or exceeds a limit.
    """
    content = _json(body)
    value = content if isinstance(content, dict) else {}
    names = value.get("tasks")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise BadRequestError(422, f'send {{"tasks": [names], "text": "…"}}; the tasks are {", ".join(tasks)}')
    if strange_names := [name for name in names if name not in tasks]:
        raise BadRequestError(422, f"unknown task {strange_names[0]!r}; choose of {', '.join(tasks)}")
    if len(set(names)) < len(names):
        raise BadRequestError(422, "tasks: a name is there twice")
    inputs = {key: part for key, part in value.items() if key != "tasks"}
    texts = {name: _texts(tasks[name], inputs, limits) for name in names}
    if (count := sum(map(len, texts.values()))) > limits.texts:
        raise BadRequestError(422, f"{count} texts over all tasks; at most {limits.texts} in one request")
    return texts


def _json(body: bytes) -> object:
    try:
        value: object = from_json(body)
    except ValueError as error:
        raise BadRequestError(400, f"the body is not JSON: {error}") from None
    return value


def _texts(task: Task, value: object, limits: Limits) -> list[Text]:
    single, plural = fields(task)
    if not isinstance(value, dict) or len(value) != 1 or not value.keys() & {single, plural}:
        raise BadRequestError(422, _usage(task, value))
    items = [value[single]] if single in value else value[plural]
    if not isinstance(items, list) or not items:
        raise BadRequestError(422, f"{plural}: must be a list with at least one entry")
    if len(items) > limits.texts:
        raise BadRequestError(422, f"{plural}: {len(items)} entries; at most {limits.texts} in one request")
    faults = [fault for number, item in enumerate(items) for fault in _faults(task, number, item, limits)]
    if faults:
        further = f"; and {len(faults) - FAULTS_SHOWN} more" if len(faults) > FAULTS_SHOWN else ""
        raise BadRequestError(422, "; ".join(faults[:FAULTS_SHOWN]) + further)
    return [tuple(item) for item in items] if task.pair else items


def _usage(task: Task, value: object) -> str:
    example = '["…", "…"]' if task.pair else '"…"'
    single, plural = fields(task)
    wrong_fields = {"text", "texts"} if task.pair else {"pair", "pairs"}
    hint = ""
    if isinstance(value, dict) and value.keys() & wrong_fields:
        hint = "send a pair of texts, not one" if task.pair else "send one text, not a pair"
        hint = f": {hint}"
    return (
        f'task {task.name} takes {{"{single}": {example}}} or {{"{plural}": [{example}, …]}} and no other field{hint}'
    )


def _faults(task: Task, number: int, item: object, limits: Limits) -> Iterator[str]:
    """Faults of one text or pair; `number` counts from 0."""
    texts = item if task.pair else [item]
    if not isinstance(texts, list) or len(texts) != (2 if task.pair else 1):
        yield f"input {number}: must be a list of two texts"
    elif not all(isinstance(text, str) for text in texts):
        yield f"input {number}: not a text"
    elif (longest := max(map(len, texts))) > limits.characters:
        yield f"input {number}: {longest} characters; at most {limits.characters} in one text"
    else:
        try:
            checked(task, number, tuple(texts) if task.pair else texts[0])
        except BertramError as error:
            yield str(error)


def answer(task: Task, predictions: Sequence[Prediction], abstain_below: float | None = None) -> JsonObject:
    """The body of an answer, with the entries that ``bertram predict`` writes."""
    return {"task": task.name, "predictions": abstention.entries(task, predictions, abstain_below)}


def request_schema(task: Task, limits: Limits) -> Schema:
    """The JSON schema of a request."""
    return {"oneOf": [object_schema(inputs) for inputs in _input_schemas(task, limits)]}


def tasks_request_schema(tasks: Mapping[str, Task], limits: Limits) -> Schema:
    """The JSON schema of a request for several tasks, which all read one text or all read a pair."""
    kinds: dict[bool, list[Task]] = {}
    for task in tasks.values():
        kinds.setdefault(task.pair, []).append(task)
    schemas = []
    for group in kinds.values():
        names: Schema = {"type": "string", "enum": [task.name for task in group]}
        tasks_schema = {"type": "array", "items": names, "minItems": 1, "uniqueItems": True}
        schemas += [object_schema({"tasks": tasks_schema} | inputs) for inputs in _input_schemas(group[0], limits)]
    return {"oneOf": schemas}


def _input_schemas(task: Task, limits: Limits) -> list[dict[str, Schema]]:
    """The field for one example, and the field for several, with their JSON schemas."""
    text: Schema = {"type": "string", "minLength": 1, "maxLength": limits.characters, "pattern": NOT_EMPTY}
    item = {"type": "array", "items": text, "minItems": 2, "maxItems": 2} if task.pair else text
    single, plural = fields(task)
    return [{single: item}, {plural: {"type": "array", "items": item, "minItems": 1, "maxItems": limits.texts}}]


def answer_schema(task: Task, abstain_below: float | None = None) -> Schema:
    """The JSON schema of an answer."""
    predictions = _predictions_schema(task, abstain_below)
    return object_schema({"task": {"type": "string", "const": task.name}, "predictions": predictions})


def tasks_answer_schema(tasks: Mapping[str, Task], abstain_below: float | None = None) -> Schema:
    """The JSON schema of an answer to a request for several tasks."""
    properties = {name: _predictions_schema(task, abstain_below) for name, task in tasks.items()}
    answers = {"type": "object", "properties": properties, "additionalProperties": False, "minProperties": 1}
    return object_schema({"predictions": answers})


def _predictions_schema(task: Task, abstain_below: float | None) -> Schema:
    return {"type": "array", "items": abstention.schema(task.label_space, abstain_below)}
