"""The server on onnxruntime: the same answers, whatever is computed beside them."""

from pathlib import Path
from typing import Any

from tests.common.models import PAIRS, TEXTS, random_model, study_tasks

from bertram.prediction.engines.load import engine_name
from bertram.prediction.engines.making import engine_of
from bertram.serving.batched_predict import predict_rows, prepare


def test_rows_of_all_tasks_get_what_predict_gives(tiny_encoder: Path, tmp_path: Path) -> None:
    model = random_model(tiny_encoder, study_tasks(encoding="bi", head="cosine"))
    engine = engine_of(model, tmp_path)
    inputs: dict[str, Any] = {"sst": TEXTS, "quora": PAIRS, "sts": PAIRS}
    rows = [row for name, texts in inputs.items() for row in prepare(engine, name, texts)]
    assert [row.cost for row in rows] == [
        row.cost for name, texts in inputs.items() for row in prepare(model, name, texts)
    ]
    expected = [one for name, texts in inputs.items() for one in engine.predict(name, texts)]
    assert predict_rows(engine, rows) == expected
    assert predict_rows(engine, rows[::-1]) == expected[::-1]
    assert (engine_name(engine), engine_name(model)) == ("onnx", "torch")
