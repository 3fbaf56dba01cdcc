"""The peers of the engines: sentence-transformers with PyTorch, torch.compile, ONNX, int8 and OpenVINO.

The backends are installed by `pip install -e '.[bench]'` into an environment of their own, since optimum-onnx demands
older releases of transformers and sentence-transformers than the tests take. Each backend exports the embedded MiniLM
by its own code into a directory that is gone afterwards.
"""

import platform
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from bertram.model.pretrained import find
from bertram.prediction.engines.processor import weight_levels

BASELINE = "SentenceTransformer, PyTorch fp32"
CALIBRATION = 128  # sentences
Encode = Callable[[Sequence[str]], Any]


def encoders(directory: Path, sentences: Sequence[str], batch_size: int) -> tuple[dict[str, Encode], dict[str, str]]:
    """The encoding functions by name, and the reasons why others cannot be timed here.

    Args:
        directory: empty directory for what the backends export.
        sentences: sentences to calibrate by.
        batch_size: sentences per batch.
    """
    openvino = directory / "openvino"
    makers: dict[str, Callable[[], Any]] = {
        BASELINE: _load,
        "SentenceTransformer, torch.compile": _compiled,
        "SentenceTransformer, ONNX": partial(_exported, directory / "onnx", "onnx"),
        "SentenceTransformer, ONNX int8": partial(_onnx_int8, directory / "onnx"),
        "SentenceTransformer, OpenVINO": partial(_exported, openvino, "openvino"),
        "SentenceTransformer, OpenVINO int8": partial(_openvino_int8, openvino, sentences),
    }
    calls: dict[str, Encode] = {}
    skipped: dict[str, str] = {}
    for name, make in makers.items():
        try:
            call = partial(make().encode, batch_size=batch_size, show_progress_bar=False)
            call(sentences[:2])
        except Exception as error:  # each backend has errors of its own for what it lacks
            if name == BASELINE:
                raise
            skipped[name] = str(error).splitlines()[0][:200]
            continue
        calls[name] = call
    return calls, skipped


def _load(source: Path | None = None, **options: Any) -> Any:
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - slow to import

    return SentenceTransformer(str(source or find("minilm")), device="cpu", **options)


def _compiled() -> Any:
    model = _load()
    model[0].auto_model = torch.compile(model[0].auto_model, dynamic=True)
    return model


def _exported(directory: Path, backend: str) -> Any:
    model = _load(backend=backend, model_kwargs={"export": True})
    model.save_pretrained(str(directory))
    return model


def _onnx_int8(directory: Path) -> Any:
    """Dynamic quantization by sentence-transformers' own preset for this processor."""
    from sentence_transformers import export_dynamic_quantized_onnx_model  # noqa: PLC0415 - slow to import

    arm = platform.machine().lower() in ("arm64", "aarch64")
    preset: Any = "arm64" if arm else "avx512_vnni" if weight_levels() == 127 else "avx2"
    export_dynamic_quantized_onnx_model(_load(directory, backend="onnx"), preset, str(directory))
    return _load(directory, backend="onnx", model_kwargs={"file_name": f"onnx/model_qint8_{preset}.onnx"})


def _openvino_int8(directory: Path, sentences: Sequence[str]) -> Any:
    """Static quantization by NNCF, as sentence-transformers does it, with other sentences to calibrate by."""
    import nncf  # noqa: PLC0415 - of the extra bench
    import openvino  # noqa: PLC0415

    model = _load(directory, backend="openvino")
    features = [dict(model.preprocess([sentence])) for sentence in sentences[:CALIBRATION]]
    [graph] = (directory / "openvino").glob("openvino_model.xml")
    quantized = nncf.quantize(
        openvino.Core().read_model(graph),
        nncf.Dataset(
            [
                {name: value.numpy() for name, value in part.items() if isinstance(value, torch.Tensor)}
                for part in features
            ]
        ),
        subset_size=CALIBRATION,
        model_type=nncf.ModelType.TRANSFORMER,
    )
    openvino.save_model(quantized, graph.with_name("openvino_model_int8.xml"), compress_to_fp16=False)
    return _load(directory, backend="openvino", model_kwargs={"file_name": "openvino/openvino_model_int8.xml"})
