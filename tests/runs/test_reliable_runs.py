"""Damaged, hostile, changed and shared run directories are refused, each with its reason."""

import json
import os
import random
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.common.child_processes import FORKSERVER
from tests.common.commands import call
from tests.common.encoders import save_encoder
from tests.common.trainings import fingerprint, tiny_config

import bertram
from bertram import options
from bertram.comparison.gold import run_predictions
from bertram.errors import BertramError, ConfigError, RunError
from bertram.export.write import export
from bertram.prediction.load import load, load_model
from bertram.report.write import write_report
from bertram.runs import provenance
from bertram.runs.directory import MetricsLog, Run, open_run, read_metrics
from bertram.runs.files import replace_directory
from bertram.runs.lock import LOCK, run_lock
from bertram.runs.record import read_record
from bertram.training import train as training_module
from bertram.training.train import train

OFTEN = {"save_minutes": 1e-9}  # a checkpoint after each step
TEXTS = ["a fine film", "dull"]


@pytest.fixture
def run(tiny_runs: Path, tmp_path: Path) -> Run:
    """A finished run of its own."""
    return Run(shutil.copytree(tiny_runs / "cross-0", tmp_path / "run"))


def refusal(run: Run) -> str:
    """The one line with which a prediction by a run is refused."""
    with pytest.raises(BertramError) as refused:
        load(run.path).predict("sst", TEXTS)
    text = str(refused.value)
    assert text.count("\n") == 0
    return text


# ------------------------------------------------------------------------------------ R1: going on


def test_resume_where_there_is_nothing_trains_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for out in (tmp_path / "nowhere", tmp_path / "empty"):
        code, _, said = call("train", "--resume", "--out", out)
        assert code == 1
        assert f"{out}: there is no run to continue here" in said
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_the_configuration_is_written_before_anything_slow_begins(
    tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config(tiny_encoder, seed=3)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training_module, "begin", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(config, tmp_path / "run")
    assert open_run(tmp_path / "run").config == config
    assert train(open_run(tmp_path / "run").config, tmp_path / "run", resume=True).finished


def test_a_training_that_is_refused_leaves_no_run_behind(tiny_encoder: Path, tmp_path: Path) -> None:
    config = tiny_config(tiny_encoder, data=str(tmp_path / "no-data"))
    with pytest.raises(ConfigError):
        train(config, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    (tmp_path / "mine").mkdir()
    with pytest.raises(ConfigError):
        train(config, tmp_path / "mine")
    assert list((tmp_path / "mine").iterdir()) == []


@pytest.mark.slow
def test_an_encoder_that_changed_is_refused(tmp_path: Path) -> None:
    encoder = save_encoder(tmp_path / "encoder")
    config = tiny_config(encoder, checkpoint=OFTEN)
    child = FORKSERVER.Process(target=train_and_die, args=(config, tmp_path / "run"))
    child.start()
    child.join()
    settings = json.loads((encoder / "tokenizer_config.json").read_text())
    (encoder / "tokenizer_config.json").write_text(json.dumps({**settings, "model_max_length": 7}))
    with pytest.raises(RunError, match=r"has changed since the run began \(tokenizer_config\.json\)"):
        train(config, tmp_path / "run", resume=True)
    (encoder / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(RunError, match="has changed"):
        train(config, tmp_path / "run", resume=True)


def train_and_die(config: bertram.Config, out: Path) -> None:
    """Train until three checkpoints are written, then die without a word."""
    left = [3]
    from bertram.training.writer import RunWriter

    save = RunWriter.save_checkpoint

    def save_or_die(self: RunWriter, step: int, state: dict[str, Any]) -> None:
        save(self, step, state)
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), 9)

    RunWriter.save_checkpoint = save_or_die  # type: ignore[method-assign]  # in a process that dies
    train(config, out, resume=True)


# ------------------------------------------------------------------------------------ R3: damage


@pytest.mark.slow
def test_every_flipped_bit_of_a_model_is_found(run: Run) -> None:
    expected = load(run.path).predict("sst", TEXTS)
    for file in sorted(run.model.iterdir()):
        content = file.read_bytes()
        for place in {0, len(content) // 3, len(content) // 2, len(content) - 1}:
            file.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
            assert refusal(run) == f"{file}: damaged: its SHA-256 is not the recorded one"
        file.unlink()
        assert refusal(run) == f"{file}: missing"
        file.write_bytes(content)
    (run.model / "ensemble.json").write_text('{"format": 1, "members": ["."]}')
    assert "ensemble.json: not a file of this run" in refusal(run)
    (run.model / "ensemble.json").unlink()
    assert load(run.path).predict("sst", TEXTS) == expected


def test_predictions_that_are_not_finite_are_an_error(run: Run) -> None:
    weights = load_file(str(run.model / "model.safetensors"))
    name = next(name for name in weights if name.startswith("heads.sst"))
    save_file(weights | {name: torch.full_like(weights[name], torch.nan)}, str(run.model / "model.safetensors"))
    without_hashes(run)
    assert "task sst: outputs of the model are not finite" in refusal(run)


def without_hashes(run: Run) -> None:
    """Make the record one of before there were hashes."""
    values = json.loads((run.path / "record.json").read_text())
    del values["files"], values["sha256"]
    (run.path / "record.json").write_text(json.dumps(values))


def test_the_record_knows_model_predictions_and_log(run: Run) -> None:
    files = read_record(run.path).files
    model = {f"model/{path.name}" for path in run.model.iterdir()}
    predictions = {f"predictions/dev/{task}.jsonl.gz" for task in ("sst", "quora", "sts")}
    assert set(files) == {*model, *predictions, "metrics.jsonl"}
    assert all(run.is_as_recorded(run.path / name) for name in files)


@pytest.mark.slow
def test_a_log_that_was_changed_or_damaged_is_said_and_stops_no_report(run: Run) -> None:
    lines = run.metrics.read_bytes().splitlines(keepends=True)
    run.metrics.write_bytes(b"".join(lines[1:]))
    assert "is not the one that the run wrote" in write_report(run.path).read_text()
    for damage in (b"{\n", b"[1]\n", b"\xff\n", b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"\n"):
        run.metrics.write_bytes(b"".join([*lines[:2], damage, *lines[2:]]))
        with pytest.raises(RunError, match=r"metrics\.jsonl, line 3: damaged"):
            list(read_metrics(run.metrics))
        assert "line 3: damaged" in write_report(run.path).read_text()


UNCHECKED = ("metrics.jsonl", "config.toml")  # a report tells of the log; the configuration may be edited


def answers(run: Path) -> object:
    """Everything that a run says: scores, configuration, answers and kept predictions."""
    opened = open_run(run)
    record, config = opened.record, opened.config
    kept = {task: run_predictions(opened, task, "dev") for task in config.tasks}
    return record.json_values, options.dump(config), load(run).predict("sst", TEXTS), kept


def damaged(content: bytes, other: bytes, chance: random.Random) -> bytes:
    """A file after an accident."""
    place = chance.randrange(len(content))
    return chance.choice(
        [
            content[:place],
            content[:place] + bytes([content[place] ^ 1 << chance.randrange(8)]) + content[place + 1 :],
            content[:place] + bytes(min(64, len(content) - place)) + content[place + 64 :],
            content + content[-20:],
            other,
            b"",
        ]
    )


@pytest.mark.slow
def test_200_damaged_files_give_no_silent_wrong_answer(run: Run, tiny_runs: Path) -> None:
    chance, refusals = random.Random(0), []
    expected = answers(run.path)
    files = sorted(path for path in run.path.rglob("*") if path.is_file() and path.name not in UNCHECKED)
    for _ in range(200):
        path = chance.choice(files)
        content = path.read_bytes()
        other = tiny_runs / "cross-1" / path.relative_to(run.path)
        kept = path.suffix == ".gz"  # `evaluate` may have written them again, so other ones are no damage
        path.write_bytes(damaged(content, b"" if kept else other.read_bytes(), chance))
        try:
            assert answers(run.path) == expected
        except BertramError as error:
            refusals.append(str(error))
        path.write_bytes(content)
    assert len(refusals) > 150
    assert not any("\n" in refusal for refusal in refusals)


# ------------------------------------------------------------------------------------ R4, R5: several processes


def wait_and_train(config: bertram.Config, out: Path, gate: Any, ends: Any) -> None:
    gate.wait()
    try:
        train(config, out, resume=True)
        ends.put("finished")
    except RunError as error:
        ends.put(str(error))


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_two_processes_on_one_run_lose_nothing(times: int, tiny_encoder: Path, tmp_path: Path) -> None:
    config = tiny_config(tiny_encoder, checkpoint=OFTEN)
    expected = fingerprint(train(config, tmp_path / "alone").path)
    for attempt in range(times):
        out, gate, ends = tmp_path / f"shared-{attempt}", FORKSERVER.Barrier(2), FORKSERVER.Queue()
        children = [FORKSERVER.Process(target=wait_and_train, args=(config, out, gate, ends)) for _ in range(2)]
        for child in children:
            child.start()
        said = sorted(ends.get(timeout=300) for _ in children)
        for child in children:
            child.join()
        assert "finished" in said
        other = next((text for text in said if text != "finished"), None)
        assert other is None or other.startswith(f"{out}: is being trained by process ")
        assert fingerprint(out) == expected
        assert not (out / LOCK).exists()


def test_a_run_that_is_held_says_by_whom(tiny_encoder: Path, tmp_path: Path) -> None:
    with run_lock(tmp_path / "run"), pytest.raises(RunError) as refused:
        train(tiny_config(tiny_encoder), tmp_path / "run")
    assert str(refused.value).startswith(f"{tmp_path / 'run'}: is being trained by process {os.getpid()} on ")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_lock_file_that_a_kill_left_is_no_obstacle(tiny_encoder: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / LOCK).write_text("process 1 on nowhere")
    assert train(tiny_config(tiny_encoder), tmp_path / "run").finished


@pytest.mark.slow
def test_readers_cannot_end_a_writer(run: Run) -> None:
    content = {path.name: path.read_bytes() for path in run.model.iterdir()}
    stop, read = threading.Event(), [0]

    def look() -> None:
        while not stop.is_set():
            again = Run(run.path)
            _ = again.model.is_dir(), again.finished, again.record, again.config
            read[0] += 1

    reader = threading.Thread(target=look)
    reader.start()

    def fill(directory: Path) -> None:
        directory.mkdir()
        for name, data in content.items():
            (directory / name).write_bytes(data)

    for _ in range(50):
        replace_directory(run.model, fill)
    stop.set()
    reader.join()
    assert read[0] > 0
    assert {path.name: path.read_bytes() for path in run.model.iterdir()} == content


# ------------------------------------------------------------------------------------ R7, R9: hostile directories


def edited(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    """A change of the model's config.json."""

    def edit(model: Path) -> None:
        values = json.loads((model / "config.json").read_text())
        change(values)
        (model / "config.json").write_text(json.dumps(values))

    return edit


def renamed(name: str) -> Callable[[Path], None]:
    """A task with another name, also in the names of the weights."""

    def rename(values: dict[str, Any]) -> None:
        tasks = values["bertram"]["tasks"]
        tasks[name] = tasks.pop("sst") | {"name": name}

    return edited(rename)


def set_to(place: str, value: Any) -> Callable[[Path], None]:
    """Another value at a place of config.json."""

    def put(values: dict[str, Any]) -> None:
        *above, last = place.split(".")
        for key in above:
            values = values[key]
        values[last] = value

    return edited(put)


def replaced(name: str, content: bytes) -> Callable[[Path], None]:
    """Another file."""

    def replace(model: Path) -> None:
        (model / name).write_bytes(content)

    return replace


HUGE = [10**9, 2**31, 2**63, 10**30]
NAMES = [
    "/tmp/evil",
    "../evil",
    "..",
    ".",
    "",
    "a/b",
    "a\\b",
    "a\0b",
    "a\nb",
    "\x1b[2J",
    "c:",
    "a b",
    "~",
    "$HOME",
    "a.b",
]
WRONG: list[Any] = [-5, 0, 1, None, "many", [], {}, 1.5, True]
SIZES = ("vocab_size", "hidden_size", "num_hidden_layers", "intermediate_size", "max_position_embeddings")
TASKS: list[Any] = [None, [], 3, {"sst": 3}, {"sst": {}}]
DEEP = b'{"a":' * 20_000 + b"1" + b"}" * 20_000
HOSTILE: dict[str, Callable[[Path], None]] = {
    **{f"task named {name!r}": renamed(name) for name in NAMES},
    **{f"{size} = {value}": set_to(size, value) for size in SIZES for value in (*HUGE[:2], -1, "x")},
    **{f"layers = {value}": set_to("num_hidden_layers", value) for value in (10**7, *HUGE[2:])},
    **{f"max_tokens = {value!r}": set_to("bertram.max_tokens", value) for value in (*WRONG, *HUGE)},
    **{f"format = {value!r}": set_to("bertram.format", value) for value in (*WRONG[:2], 99, "1", [1])},
    **{f"tasks = {value!r}": set_to("bertram.tasks", value) for value in TASKS},
    **{f"{name} is deep": replaced(name, DEEP) for name in ("config.json", "tokenizer.json")},
    **{f"{name} is empty": replaced(name, b"") for name in ("config.json", "tokenizer.json", "model.safetensors")},
    **{f"{name} is noise": replaced(name, bytes(range(256)) * 9) for name in ("config.json", "model.safetensors")},
    "header of 2**62 bytes": replaced("model.safetensors", (2**62).to_bytes(8, "little") + b"{}"),
    "members outside": replaced("ensemble.json", b'{"format": 1, "members": ["../../other", "/etc"]}'),
    "no members": replaced("ensemble.json", b'{"format": 1, "members": []}'),
    "members of another type": replaced("ensemble.json", b'{"format": 1, "members": "abc"}'),
    "itself as a member": replaced("ensemble.json", b'{"format": 1, "members": ["."]}'),
}


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_hostile_model_is_refused_in_one_line(hostile: str, run: Run) -> None:
    without_hashes(run)
    HOSTILE[hostile](run.model)
    before = snapshot(run.path.parent)
    assert refusal(run).isprintable()
    with pytest.raises(BertramError):
        export(run.path, "onnx", run.path.parent / "out")
    assert {
        name: content for name, content in snapshot(run.path.parent).items() if not name.startswith("out")
    } == before


def snapshot(directory: Path) -> dict[str, bytes]:
    """All files below a directory."""
    return {str(p.relative_to(directory)): p.read_bytes() for p in sorted(directory.rglob("*")) if p.is_file()}


def test_there_are_sixty_hostile_models() -> None:
    assert len(HOSTILE) >= 60


def test_tokens_beyond_the_table_are_refused(run: Run) -> None:
    without_hashes(run)
    tokenizer = json.loads((run.model / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"]["zebra"] = 10**6
    (run.model / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert "its tokenizer has 1000001 tokens, its encoder" in refusal(run)


@pytest.mark.parametrize("record", ['{"format": 1}', '{"format": 2, "scores": []}', "[]"])
def test_a_wrong_record_is_one_line_everywhere(record: str, run: Run) -> None:
    (run.path / "record.json").write_text(record)
    other = shutil.copytree(run.path, run.path.parent / "other")
    out = run.path.parent / "out"
    commands: list[tuple[object, ...]] = [
        ("export", run.path, "--format", "hf", "--out", out),
        ("report", run.path),
        ("evaluate", run.path),
        ("ensemble", run.path, other, "--out", out),
        ("soup", run.path, other, "--out", out),
        ("train", "--resume", "--out", run.path),
    ]
    for command in commands:
        code, _, said = call(*command)
        assert code == 1
        assert "record.json: " in said
        assert len(said.strip().splitlines()) <= 3


# ------------------------------------------------------------------------------------ R8: modes and reasons


@pytest.mark.slow
def test_files_have_the_modes_of_the_umask(tiny_encoder: Path, tmp_path: Path) -> None:
    for mask, mode in ((0o022, 0o644), (0o077, 0o600), (0o002, 0o664)):
        before = os.umask(mask)
        try:
            run = train(tiny_config(tiny_encoder, sampling={"epochs": 1}), tmp_path / f"{mask:o}")
        finally:
            os.umask(before)
        modes = {str(path): stat.S_IMODE(path.stat().st_mode) for path in run.path.rglob("*") if path.is_file()}
        assert set(modes.values()) == {mode}, modes


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="another user's files need root to be made")
def test_a_file_of_another_user_is_not_called_missing(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from bertram.runs.tensors import read_tensors, tensor_shapes\n"
        "from bertram.runs.hashes import sha256_of; from bertram.runs.typed_json import read_object\n"
        "import os; os.setuid(65534)\n"
        "for read in (read_tensors, tensor_shapes, sha256_of, read_object):\n"
        "    try: read(Path(sys.argv[1]))\n"
        "    except Exception as error: print(error)\n"
    )
    file = tmp_path / "model.safetensors"
    save_file({"a": torch.zeros(2)}, str(file))
    file.chmod(0o600)
    said = subprocess.run([sys.executable, "-c", script, str(file)], capture_output=True, text=True, check=True).stdout
    assert said.splitlines() == [f"{file}: cannot be read: Permission denied"] * 4


# ------------------------------------------------------------------------------------ R10: the log


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["shorter", "torn", "other", "missing"])
def test_a_damaged_log_is_mended_with_a_word(damage: str, tiny_encoder: Path, tmp_path: Path) -> None:
    config = tiny_config(tiny_encoder, checkpoint=OFTEN)
    expected = fingerprint(train(config, tmp_path / "whole").path)
    out = tmp_path / "run"
    child = FORKSERVER.Process(target=train_and_die, args=(config, out))
    child.start()
    child.join()
    log = out / "metrics.jsonl"
    content = log.read_bytes()
    lines = content.splitlines(keepends=True)
    damaged = {
        "shorter": b"".join(lines[:-1]),
        "torn": content[:-9],
        "other": content.replace(b"1", b"2"),
        "missing": b"",
    }
    log.write_bytes(damaged[damage])
    found = fingerprint(train(config, out, resume=True).path)
    assert {name: found[name] for name in ("weights", "predictions", "scores")} == {
        name: expected[name] for name in ("weights", "predictions", "scores")
    }
    warnings = [line["log_fault"] for line in read_metrics(log) if "log_fault" in line]
    reason = "is not what was written" if damage == "other" else "lines are lost"
    assert len(warnings) == 1
    assert reason in warnings[0]


def test_a_torn_line_is_not_glued_to_the_next(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n{"step": 2')
    with MetricsLog(path, 100) as log:
        log.write({"step": 3})
    assert list(read_metrics(path)) == [{"step": 1}, {"step": 3}]


# ------------------------------------------------------------------------------------ R16: the commit


def test_the_commit_is_that_of_the_packages_own_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*words: str) -> str:
        identity = ("-c", "user.name=a", "-c", "user.email=a@b.example")
        return subprocess.run(
            ["git", "-C", str(tmp_path), *identity, *words], capture_output=True, text=True, check=True
        ).stdout

    def installed_at(package: Path) -> str | None:
        package.mkdir(parents=True)
        monkeypatch.setattr(provenance, "__file__", str(package / "provenance.py"))
        commit: str | None = provenance._git_commit()
        return commit

    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "surrounding")
    assert installed_at(tmp_path / "venv" / "lib" / "python3.11" / "site-packages" / "bertram" / "runs") is None
    assert installed_at(tmp_path / "other" / "src" / "bertram" / "runs") is None
    assert installed_at(tmp_path / "src" / "bertram" / "runs") == git("rev-parse", "--short", "HEAD").strip()


# ------------------------------------------------------------------------------------ kept predictions


@pytest.mark.slow
def test_kept_predictions_are_those_of_the_rows_that_the_run_knows(run: Run, tmp_path: Path) -> None:
    from bertram import sample
    from bertram.evaluation.files import evaluate_run

    data = Path(shutil.copytree(sample.directory(), tmp_path / "data"))
    without_hashes(run)
    config = options.change(run.config, data=str(data))
    (run.path / "config.toml").write_text(options.to_toml(config))
    shutil.rmtree(run.path / "predictions")
    file = data / "sts-dev.csv"
    file.write_text("\n".join(file.read_text().splitlines()[:-1]) + "\n")
    evaluate_run(Run(run.path))
    assert not (run.path / "predictions").exists()
    shutil.copy(sample.directory() / "sts-dev.csv", file)
    evaluate_run(Run(run.path))
    assert len(list((run.path / "predictions" / "dev").iterdir())) == 3


@pytest.fixture(autouse=True)
def no_state_left() -> Iterator[None]:
    """The umask is as it was."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    assert os.umask(before) == before


def test_a_single_model_is_checked_like_a_run(run: Run) -> None:
    (run.model / "model.safetensors").write_bytes(b"")
    with pytest.raises(RunError, match=r"model\.safetensors: damaged"):
        load_model(run.model)
