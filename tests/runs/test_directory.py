"""Run directories: made once, read with clear errors, and a metrics file without half or double lines."""

import gzip
import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.common.trainings import begin_training, tiny_config

from bertram.errors import BertramError, RunError
from bertram.prediction.load import load_model, save_model
from bertram.runs.directory import (
    MetricsLog,
    Run,
    create,
    open_run,
    read_config,
    read_metrics,
    read_predictions,
    write_predictions,
)


def test_a_new_run_directory_holds_its_configuration(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, smart={"tasks": ["sst"]}, surgery={"method": "pcgrad"})
    run = create(tmp_path / "runs" / "first", config)
    assert [path.name for path in run.path.iterdir()] == ["config.toml"]
    assert read_config(run.path) == config == open_run(run.path).config
    assert not run.finished


def test_an_existing_run_directory_is_refused_with_the_way_on(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    create(tmp_path / "run", config)
    with pytest.raises(RunError, match="exists already; continue it with --resume, or choose another --out"):
        create(tmp_path / "run", config)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("mine")
    with pytest.raises(RunError, match="exists already; choose another --out"):
        create(tmp_path / "other", config)
    with pytest.raises(RunError, match="exists already"):
        create(tmp_path / "other" / "thesis.tex", config)
    with pytest.raises(RunError, match="cannot be made"):
        create(tmp_path / "other" / "thesis.tex" / "run", config)
    assert (tmp_path / "other" / "thesis.tex").read_text() == "mine"


def test_an_empty_directory_and_what_a_kill_has_left_of_a_first_file_are_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".config.toml.writing").write_text("half")
    create(tmp_path / "run", tiny_config(tmp_path))
    assert os.listdir(tmp_path / "run") == ["config.toml"]  # noqa: PTH208 (hidden ones too)


def test_reading_a_run_writes_nothing(tmp_path: Path) -> None:
    run = create(tmp_path / "run", tiny_config(tmp_path))
    (run.path / ".model.old").mkdir()  # as a kill leaves it between the two renames of a replacement
    before = sorted(path.name for path in run.path.iterdir())
    _ = run.model, run.config, run.finished, run.checkpoints, list(read_metrics(run.metrics)), run.predictions("sst")
    assert sorted(path.name for path in run.path.iterdir()) == before
    assert not run.model.exists()


# ------------------------------------------------------------------------------------------ damage


def damaged(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"format": 1, "scores": {', "damaged"),
        (b"\xff\xfe", "damaged"),
        ("", "damaged"),
        ("[]", "damaged: not a JSON object"),
        ("{}", "format version None is unknown; this BERTram reads 1 and 2"),
        ('{"format": 99}', "format version 99 is unknown; this BERTram reads 1 and 2"),
    ],
)
def test_a_damaged_record_names_its_file(content: str | bytes, reason: str, tmp_path: Path) -> None:
    damaged(tmp_path / "record.json", content)
    with pytest.raises(RunError, match=r"record\.json") as failed:
        _ = Run(tmp_path).record
    assert reason in str(failed.value)


@pytest.mark.parametrize(
    "content",
    ["seed = ", b"\xff\xfe", "", "seed = 0\n", 'seed = "many"\n[tasks.sst]\nkind = "class"\n', "unheard = 1\n"],
)
def test_a_damaged_configuration_names_its_file(content: str | bytes, tmp_path: Path) -> None:
    damaged(tmp_path / "config.toml", content)
    with pytest.raises(RunError, match=r"config\.toml: damaged"):
        read_config(tmp_path)


def test_what_is_no_run_or_not_finished_says_so(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no such run directory"):
        open_run(tmp_path / "nowhere")
    with pytest.raises(RunError, match="not a run: it has neither"):
        open_run(tmp_path)
    with pytest.raises(RunError, match=r"config\.toml: missing"):
        read_config(tmp_path)
    with pytest.raises(RunError, match=r"not a finished run: it has no record\.json; train on with --resume"):
        _ = Run(tmp_path).record


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :]


PREDICTION_DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda content: content[: len(content) // 2],
    "not compressed": gzip.decompress,
    "no lines of JSON": lambda _: gzip.compress(b"id,value\n1,2\n"),
    "not text": lambda _: gzip.compress(b'{"id": "\xff"}\n'),
    **{f"byte {place} flipped": partial(flipped, place=place) for place in (0, 15, 40, -8, -2)},
}


@pytest.mark.parametrize("damage", PREDICTION_DAMAGES)
def test_damaged_predictions_name_their_file(damage: str, tmp_path: Path) -> None:
    path = Run(tmp_path).predictions("sst")
    write_predictions(path, [str(i) for i in range(50)], list(range(50)), None)
    assert len(read_predictions(path)) == 50
    path.write_bytes(PREDICTION_DAMAGES[damage](path.read_bytes()))
    with pytest.raises(RunError, match=r"sst\.jsonl\.gz: damaged"):
        read_predictions(path)


def test_missing_predictions_say_how_to_write_them(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="missing; write it with: bertram evaluate"):
        read_predictions(Run(tmp_path).predictions("sst"))


def change_config(directory: Path, **values: Any) -> None:
    path = directory / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"bertram": {**config["bertram"], **values}}))


def remove_tokenizer(directory: Path) -> None:
    for name in ("tokenizer.json", "vocab.txt"):
        (directory / name).unlink()


MODEL_DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "weights missing": (lambda path: (path / "model.safetensors").unlink(), "model.safetensors: missing"),
    "weights cut": (lambda path: os.truncate(path / "model.safetensors", 5000), "model.safetensors: damaged"),
    "weights empty": (lambda path: (path / "model.safetensors").write_bytes(b""), "model.safetensors: damaged"),
    "no configuration": (lambda path: (path / "config.json").unlink(), "not a trained model"),
    "half a configuration": (lambda path: os.truncate(path / "config.json", 40), "config.json: damaged"),
    "no heads": (lambda path: (path / "config.json").write_text("{}"), "not a trained model"),
    "no tasks": (lambda path: change_config(path, tasks=None), "its tasks cannot be read"),
    "another version": (lambda path: change_config(path, format=7), "format version 7 is unknown"),
    "other heads": (lambda path: change_config(path, tasks={}), "weights do not fit config.json"),
    "no tokenizer": (remove_tokenizer, "no tokenizer.json"),
}


@pytest.fixture(scope="module")
def sound_model(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("sound") / "model"
    save_model(begin_training(tiny_config(tiny_encoder)).model, directory)
    return directory


@pytest.mark.parametrize("damage", MODEL_DAMAGES)
def test_a_damaged_model_says_what_is_wrong(damage: str, sound_model: Path, tmp_path: Path) -> None:
    shutil.copytree(sound_model, tmp_path / "model")
    break_it, reason = MODEL_DAMAGES[damage]
    break_it(tmp_path / "model")
    with pytest.raises(BertramError) as failed:
        load_model(tmp_path / "model")
    assert reason in str(failed.value)
    assert str(tmp_path) in str(failed.value) or "weights do not fit" in str(failed.value)


# ------------------------------------------------------------------------------------------ metrics.jsonl


def lines(path: Path) -> list[int]:
    return [line["step"] for line in read_metrics(path)]


def test_metrics_go_on_from_where_the_checkpoint_stood(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    with MetricsLog(path) as log:
        for step in (1, 2):
            log.write({"step": step})
        position = log.position()
        log.write({"step": 3})  # after the checkpoint, before the kill
    with MetricsLog(path, position) as log:
        assert log.position() == position
        for step in (3, 4):
            log.write({"step": step})
    assert lines(path) == [1, 2, 3, 4]
    with MetricsLog(path) as log:  # a run that starts over
        log.write({"step": 1})
    assert lines(path) == [1]


def test_a_metrics_file_that_is_too_short_is_not_filled_up(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    with MetricsLog(path, position=500) as log:
        log.write({"step": 7})
        assert log.position() == len(path.read_bytes())
    assert lines(path) == [7]


def test_a_last_line_that_is_being_written_is_left_out_and_a_damaged_one_named(tmp_path: Path) -> None:
    path = damaged(tmp_path / "metrics.jsonl", '{"step": 1}\n{"step": 2, "lo')
    assert lines(path) == [1]
    damaged(path, '{"step": 1}\n{"step": \n{"step": 3}\n')
    with pytest.raises(RunError, match=r"metrics\.jsonl, line 2: damaged"):
        lines(path)
    assert list(read_metrics(tmp_path / "none")) == []


def test_numbers_that_json_has_not_are_null(tmp_path: Path) -> None:
    with MetricsLog(tmp_path / "metrics.jsonl") as log:
        log.write({"losses": {"sst": {"smart/gradient_cosine": float("nan")}}, "norms": [1.5, float("inf")], "step": 1})
    content = (tmp_path / "metrics.jsonl").read_text()
    assert content == '{"losses": {"sst": {"smart/gradient_cosine": null}}, "norms": [1.5, null], "step": 1}\n'


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_a_clear_error_of_the_log_too() -> None:
    with pytest.raises(RunError, match="the disk is full"), MetricsLog(Path("/dev/full")) as log:
        log.write({"step": 1})


def test_the_log_of_a_process_that_does_not_write_goes_nowhere() -> None:
    with MetricsLog(Path(os.devnull), position=100) as log:
        log.write({"step": 1})
    assert list(read_metrics(Path(os.devnull))) == []
