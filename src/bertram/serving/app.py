"""The web application: a route per task, the page, health and metrics."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException

from bertram.prediction.model import Predictor
from bertram.serving import page
from bertram.serving.batching import Batcher, FullError, StoppingError
from bertram.serving.messages import BadRequestError, Limits, answer, answer_schema, read_request, request_schema
from bertram.serving.metrics import CONTENT_TYPE, Metrics
from bertram.serving.middleware import Gate
from bertram.tasks import Task

PROBLEMS = {
    400: "the body is not JSON",
    408: "the body did not arrive in time",
    413: "the body is too large",
    422: "the request does not fit the task or exceeds a limit",
    503: "too many texts are waiting; see Retry-After",
    504: "no answer in time",
}
Handler = Callable[[Request], Awaitable[Response]]


def create_app(model: Predictor, about: dict[str, Any], limits: Limits | None = None) -> FastAPI:
    """The ASGI application that serves a model.

    Args:
        model: a model or an ensemble.
        about: answer of ``GET /tasks``; see `bertram.serving.about`.
        limits: limits on requests; default: those of `Limits`.
    """
    limits = limits or Limits()
    metrics = Metrics()
    batcher = Batcher(model, together=limits.together, room=limits.waiting, watch=metrics.batch)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        batcher.start()
        yield
        await batcher.stop()

    app = FastAPI(title="BERTram", version=about["version"], lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.stopping, app.state.limits = False, limits
    for task in model.tasks.values():
        _add_predict(app, task, predictor(task, batcher, limits, metrics), limits)
    _add_unknown_task(app, list(model.tasks))
    _add_about(app, about, batcher, metrics)
    page.add(app)
    app.add_middleware(Gate, limits=limits, metrics=metrics)
    app.add_exception_handler(BadRequestError, _bad_request)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _failure)
    return app


def predictor(task: Task, batcher: Batcher, limits: Limits, metrics: Metrics) -> Handler:
    """The handler of requests for one task."""

    async def predict(request: Request) -> Response:
        texts = read_request(task, await request.body(), limits)
        try:
            results = await batcher.predict(task.name, texts, limits.seconds)
        except FullError as error:
            return _problem(503, str(error), {"Retry-After": str(error.retry_after)})
        except StoppingError:
            return _problem(503, "the server is stopping", {"Retry-After": "5"})
        except TimeoutError:
            return _problem(504, f"no answer within {limits.seconds:g} s; try again with fewer texts")
        metrics.texts[task.name] += len(texts)
        return JSONResponse(answer(task, results))

    return predict


def _add_predict(app: FastAPI, task: Task, handler: Handler, limits: Limits) -> None:
    schema = {"required": True, "content": {"application/json": {"schema": request_schema(task, limits)}}}
    responses: dict[int | str, dict[str, Any]] = {
        200: {"description": "predictions, in order", "content": {"application/json": {"schema": answer_schema(task)}}}
    }
    problem = {"type": "object", "properties": {"detail": {"type": "string"}}, "required": ["detail"]}
    responses |= {
        status: {"description": text, "content": {"application/json": {"schema": problem}}}
        for status, text in PROBLEMS.items()
    }
    app.add_api_route(
        f"/predict/{task.name}",
        handler,
        methods=["POST"],
        summary=f"Predict {task.name}",
        operation_id=f"predict_{task.name}",
        openapi_extra={"requestBody": schema},
        responses=responses,
        response_class=JSONResponse,
    )


def _add_unknown_task(app: FastAPI, names: list[str]) -> None:
    async def unknown_task(_: Request) -> Response:
        return _problem(404, f"unknown task; choose one of {', '.join(names)}")

    app.add_api_route("/predict/{task}", unknown_task, methods=["POST"], include_in_schema=False)


def _add_about(app: FastAPI, about: dict[str, Any], batcher: Batcher, metrics: Metrics) -> None:
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
        return Response(metrics.render(batcher.waiting), media_type=CONTENT_TYPE)


def _problem(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": detail}, status, headers)


async def _bad_request(_: Request, error: Exception) -> Response:
    assert isinstance(error, BadRequestError)
    return _problem(error.status, error.message)


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _problem(error.status_code, str(error.detail), dict(error.headers or {}))


async def _failure(_: Request, __: Exception) -> Response:
    return _problem(500, "the server failed; its log says why")
