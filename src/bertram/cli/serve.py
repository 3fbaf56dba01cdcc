"""``bertram serve``."""

import math
from typing import Annotated, Literal

from cyclopts import App, Parameter
from cyclopts.types import Port, PositiveFloat, PositiveInt

from bertram.cli.arguments import ENGINE, AbstainBelow, RunDirectory
from bertram.prediction.engines.reading import Engine

EXAMPLES = """Examples:

  bertram serve RUN
  curl localhost:8000/predict/sst --json '{"text": "a lovely film"}'
"""

app = App(name="serve", help_epilogue=EXAMPLES, help_format="plaintext")


@app.default
def serve(
    run: RunDirectory,
    *,
    host: str = "127.0.0.1",
    port: Port = 8000,
    allowed_hosts: Annotated[
        list[str] | None, Parameter(name=["--allowed-hosts", "--allowed-host"], negative="")
    ] = None,
    batch_size: PositiveInt = 64,
    max_waiting: PositiveInt = 2048,
    max_waiting_tokens: PositiveInt = 1 << 17,
    max_texts: PositiveInt = 256,
    max_characters: PositiveInt = 10_000,
    max_body: PositiveInt = 1 << 20,
    timeout: PositiveFloat = 30.0,
    abstain_below: AbstainBelow = None,
    precision: Literal["fp32", "bf16"] = "fp32",
    engine: Annotated[Engine, Parameter(help=ENGINE)] = "auto",
) -> None:
    """Serve a run over HTTP: a web page and a JSON API.

    Parameters
    ----------
    host
        Address to listen on; 0.0.0.0 accepts requests from other machines.
    port
        Port to listen on; 0 chooses a free one.
    allowed_hosts
        Further host name under which the server answers, beside localhost and loopback addresses; repeat the option
        for several, * allows all. With an unspecified address (0.0.0.0) every IP address is allowed, but no name.
    batch_size
        Maximum number of texts that are computed together; 1 computes each request alone.
    max_waiting
        Maximum number of texts in the queue; further requests get status 503.
    max_waiting_tokens
        Maximum number of tokens in the queue; further requests get status 503, and a request of more tokens 422.
    max_texts
        Maximum number of texts per request.
    max_characters
        Maximum number of characters per text.
    max_body
        Maximum size of a request, in bytes.
    timeout
        Seconds after which a request gets status 504.
    precision
        Precision of the matrix multiplications of PyTorch.
    """
    from bertram.errors import BertramError  # noqa: PLC0415
    from bertram.serving.messages import Limits  # noqa: PLC0415

    try:
        from bertram.serving.server import serve as run_server  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise BertramError(f"serving needs {error.name}; run: pip install 'bertram[serve]'") from None
    if not math.isfinite(timeout):
        raise BertramError(f"--timeout {timeout}: a number of seconds is needed")
    limits = Limits(
        body_bytes=max_body,
        texts=max_texts,
        characters=max_characters,
        waiting=max_waiting,
        waiting_tokens=max_waiting_tokens,
        together=batch_size,
        seconds=timeout,
        abstain_below=abstain_below,
    )
    run_server(run, host, port, limits, precision, engine, allowed_hosts or [])
