"""Withheld predictions in answers of the server and in their schemas."""

import asyncio
from pathlib import Path

import httpx
from tests.common.models import TEXTS, random_model, study_tasks

from bertram.serving.app import create_app
from bertram.serving.messages import Limits, answer_schema


def test_the_server_withholds_what_it_is_unsure_of(tiny_encoder: Path) -> None:
    model = random_model(tiny_encoder, study_tasks())

    async def ask(limits: Limits) -> list[dict[str, object]]:
        app = create_app(model, {"version": "0", "tasks": []}, limits)
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                response = await client.post("/predict/sst", json={"texts": TEXTS})
                predictions: list[dict[str, object]] = response.json()["predictions"]
                return predictions

    plain = asyncio.run(ask(Limits()))
    withheld = asyncio.run(ask(Limits(abstain_below=1.0)))
    assert all(line["value"] is None and line["label"] is None and line["abstained"] for line in withheld)
    assert [line["probabilities"] for line in withheld] == [line["probabilities"] for line in plain]
    fields = answer_schema(model.tasks["sst"], 0.5)["properties"]["predictions"]["items"]["properties"]
    assert fields.keys() == withheld[0].keys()
    assert {"type": "null"} in fields["value"]["anyOf"]
    sts = answer_schema(model.tasks["sts"], 0.5)
    assert sts == answer_schema(model.tasks["sts"])  # a score is never withheld
