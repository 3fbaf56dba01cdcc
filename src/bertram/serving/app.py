"""The web application: a route per task, the page, health and metrics."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException

from bertram.errors import BertramError, DataError
from bertram.label_spaces import Schema
from bertram.prediction.model import Prediction, Predictor, Text
from bertram.runs.typed_json import JsonObject
from bertram.serving import page
from bertram.serving.batching import Batcher, FullError, StoppingError, TooLongError
from bertram.serving.hosts import Hosts
from bertram.serving.messages import (
    BadRequestError,
    Limits,
    answer,
    answer_schema,
    check_content_type,
    problem,
    read_request,
    read_request_for_tasks,
    request_schema,
    tasks_answer_schema,
    tasks_request_schema,
)
from bertram.serving.metrics import CONTENT_TYPE, Metrics
from bertram.serving.middleware import Gate
from bertram.tasks import Task

PROBLEMS = {
    400: "the body is not JSON",
    408: "the body did not arrive in time",
    413: "the body is too large",
    415: "the content type is not application/json",
    421: "the Host header is none of the allowed hosts",
    422: "the request does not fit the task or exceeds a limit",
    429: "too many requests of one client at once; see Retry-After",
    500: "the server failed, or the model's output is not finite",
    503: "too many texts are waiting, or the server stops; see Retry-After",
    504: "no answer in time",
}
Result = TypeVar("Result")
Handler = Callable[[Request], Awaitable[Response]]


def create_app(
    model: Predictor, about: JsonObject, limits: Limits | None = None, hosts: Hosts | None = None
) -> FastAPI:
    """The ASGI application that serves a model.

    Args:
        model: a model or an ensemble.
        about: answer of ``GET /tasks``; see `bertram.serving.about`.
        limits: limits on requests; default: those of `Limits`.
        hosts: hosts under which the server answers; default: loopback addresses and ``localhost``.
    """
    limits = limits or Limits()
    metrics = Metrics()
    batcher = Batcher(
        model,
        together=limits.together,
        room=limits.waiting,
        room_tokens=limits.waiting_tokens,
        watch=metrics.batch,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        batcher.start()
        yield
        await batcher.stop()

    app = FastAPI(title="BERTram", version=about["version"], lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.stopping, app.state.limits = False, limits
    for task in model.tasks.values():
        _add_predict(app, task, predictor(task, batcher, limits, metrics), limits)
    _add_predict_tasks(app, model.tasks, tasks_predictor(model.tasks, batcher, limits, metrics), limits)
    _add_unknown_task(app, list(model.tasks))
    _add_about(app, about, batcher, metrics)
    page.add(app)
    app.add_middleware(Gate, limits=limits, metrics=metrics, hosts=hosts or Hosts())
    app.add_exception_handler(BadRequestError, _bad_request)
    app.add_exception_handler(HTTPException, _http_error)
    return app


def predictor(task: Task, batcher: Batcher, limits: Limits, metrics: Metrics) -> Handler:
    """The handler of requests for one task."""

    async def predict(request: Request) -> Response:
        check_content_type(request.headers.get("content-type", ""))
        texts = {task.name: read_request(task, await request.body(), limits)}
        results = await _unless_gone(request, _predict(batcher, texts, limits, metrics))
        return JSONResponse(answer(task, results[task.name], limits.abstain_below))

    return predict


def tasks_predictor(tasks: dict[str, Task], batcher: Batcher, limits: Limits, metrics: Metrics) -> Handler:
    """The handler of requests for several tasks of one text."""

    async def predict(request: Request) -> Response:
        check_content_type(request.headers.get("content-type", ""))
        texts = read_request_for_tasks(tasks, await request.body(), limits)
        results = await _unless_gone(request, _predict(batcher, texts, limits, metrics))
        answers = {name: answer(tasks[name], part, limits.abstain_below) for name, part in results.items()}
        return JSONResponse({"predictions": {name: part["predictions"] for name, part in answers.items()}})

    return predict


async def _predict(
    batcher: Batcher, texts: Mapping[str, Sequence[Text]], limits: Limits, metrics: Metrics
) -> dict[str, list[Prediction]]:
    """The predictions of a request by task, whose texts are counted."""
    try:
        predictions = await batcher.predict(texts, limits.seconds)
    except (TooLongError, DataError) as error:
        raise BadRequestError(422, str(error)) from None
    except FullError as error:
        raise BadRequestError(503, str(error), error.retry_after) from None
    except StoppingError:
        raise BadRequestError(503, "the server is stopping", 5) from None
    except TimeoutError:
        raise BadRequestError(504, f"no answer within {limits.seconds:g} s; try again with fewer texts") from None
    except BertramError as error:
        raise BadRequestError(500, str(error)) from None
    for name, part in texts.items():
        metrics.texts[name] += len(part)
    return predictions


async def _unless_gone(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """The result of some work, which is cancelled when the client closes the connection.

    Raises:
        ConnectionResetError: the client is gone.
    """
    working, disconnect = asyncio.create_task(work), asyncio.create_task(_client_gone(request))
    try:
        await asyncio.wait({working, disconnect}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ConnectionResetError
        return working.result()
    finally:
        for task in (working, disconnect):
            task.cancel()
        await asyncio.gather(working, disconnect, return_exceptions=True)


async def _client_gone(request: Request) -> None:
    """Return when the client has closed the connection; the body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _add_predict(app: FastAPI, task: Task, handler: Handler, limits: Limits) -> None:
    schemas = request_schema(task, limits), answer_schema(task, limits.abstain_below)
    _add_described(app, f"/predict/{task.name}", handler, f"Predict {task.name}", f"predict_{task.name}", *schemas)


def _add_predict_tasks(app: FastAPI, tasks: dict[str, Task], handler: Handler, limits: Limits) -> None:
    schemas = tasks_request_schema(tasks, limits), tasks_answer_schema(tasks, limits.abstain_below)
    summary = f"Predict several tasks of the same texts; at most {limits.texts} texts over all tasks"
    _add_described(app, "/predict", handler, summary, "predict", *schemas)


def _add_described(
    app: FastAPI, path: str, handler: Handler, summary: str, operation_id: str, request: Schema, result: Schema
) -> None:
    """Add a route that takes and gives JSON, with its description in openapi.json."""
    problem_schema = {"type": "object", "properties": {"detail": {"type": "string"}}, "required": ["detail"]}
    responses: dict[int | str, dict[str, Any]] = {
        200: {"description": "predictions, in order", "content": {"application/json": {"schema": result}}}
    }
    responses |= {
        status: {"description": text, "content": {"application/json": {"schema": problem_schema}}}
        for status, text in PROBLEMS.items()
    }
    app.add_api_route(
        path,
        handler,
        methods=["POST"],
        summary=summary,
        operation_id=operation_id,
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": request}}}},
        responses=responses,
        response_class=JSONResponse,
    )


def _add_unknown_task(app: FastAPI, names: list[str]) -> None:
    async def unknown_task(_: Request) -> Response:
        return problem(404, f"unknown task; choose one of {', '.join(names)}")

    app.add_api_route("/predict/{task}", unknown_task, methods=["POST"], include_in_schema=False)


def _add_about(app: FastAPI, about: JsonObject, batcher: Batcher, metrics: Metrics) -> None:
    @app.get("/tasks")
    async def tasks() -> JSONResponse:
        """The tasks with their labels, limits and scores."""
        return JSONResponse(about)

    @app.get("/health", responses={503: {"description": "stopping"}})
    async def health() -> JSONResponse:
        """Status of the server: ok or stopping."""
        healthy = batcher.alive and not app.state.stopping
        return JSONResponse({"status": "ok" if healthy else "stopping"}, 200 if healthy else 503)

    @app.get("/metrics", response_class=PlainTextResponse)
    async def prometheus() -> Response:
        """Counters for Prometheus."""
        return Response(metrics.render(batcher.waiting, batcher.waiting_tokens), media_type=CONTENT_TYPE)


async def _bad_request(_: Request, error: Exception) -> Response:
    assert isinstance(error, BadRequestError)
    return error.response()


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem(error.status_code, str(error.detail), error.headers)
