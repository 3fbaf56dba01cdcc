"""Records: typed, checked when they are read, and readable in every version that was ever written."""

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import FrozenInstanceError, fields, is_dataclass
from math import isnan
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.common.records import record_of, scores

from bertram import options, recipes
from bertram.errors import RunError
from bertram.experiments.budget import identity_of
from bertram.runs.directory import Run
from bertram.runs.record import FORMAT, MOVED, Record, read_record, write_record
from bertram.runs.scores import Score

RESULTS = Path(__file__).resolve().parents[2] / "results"
NOT_OF_A_RUN = {"serving/record.json"}  # a measurement of the server
RECORDS = sorted(str(p.relative_to(RESULTS)) for p in RESULTS.rglob("record.json"))
OF_RUNS = [name for name in RECORDS if name not in NOT_OF_A_RUN]
IDENTITIES: dict[str, str] = json.loads(Path(__file__).with_name("identities.json").read_text())
TRAINING = "search/best-6000-seed0/record.json"
ENSEMBLE = "scores/best-ensemble/record.json"
CONSTANT = next(name for name in OF_RUNS if name.startswith("reproduction/e1-"))


def values_of(name: str) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((RESULTS / name).read_text())
    return values


# ------------------------------------------------------------------------------------ records that were written


def test_the_records_whose_identities_are_listed_are_still_there() -> None:
    assert set(IDENTITIES) <= set(OF_RUNS)
    assert len(IDENTITIES) > 100


@pytest.mark.parametrize("name", OF_RUNS)
def test_a_recorded_run_is_read_whole_and_keeps_its_identity(name: str, tmp_path: Path) -> None:
    values = values_of(name)
    assert values["format"] in (1, FORMAT)
    record = read_record((RESULTS / name).parent)
    identity = IDENTITIES.get(name, name.split("/")[-2].rpartition("-")[2])  # a study names its runs by it
    assert identity_of(record) == identity
    about_the_file = {"format", "sha256"}
    assert {key: record[key] for key in values.keys() - about_the_file} == {
        key: value for key, value in values.items() if key not in about_the_file
    }
    write_record(tmp_path, record)
    again = read_record(tmp_path)
    assert again == record
    assert json.loads((tmp_path / "record.json").read_text())["format"] == FORMAT == 2
    assert identity_of(again) == identity


def test_the_fields_of_version_2_stand_where_its_type_says(tmp_path: Path) -> None:
    write_record(tmp_path, read_record((RESULTS / TRAINING).parent))
    written = json.loads((tmp_path / "record.json").read_text())
    assert set(written) - {"format", "sha256"} <= {field.name for field in fields(Record)}
    assert not set(MOVED) & set(written)
    assert set(written["provenance"]) == {"versions", "host", "git_commit", "finished"}
    assert set(written["truncated"]) == set(values_of(TRAINING)["cut"])


def test_a_record_cannot_be_changed_and_reads_like_its_json() -> None:
    record = record_of(recipes.baseline(), scores({"sst": {"accuracy": Score(0.5, (0.4, 0.6), 10)}}))
    with pytest.raises(FrozenInstanceError):
        record.seed = 3  # type: ignore[misc]  # what is tried
    assert record["scores"]["dev"]["sst"]["accuracy"] == {"value": 0.5, "ci95": [0.4, 0.6], "n": 10}
    assert list(record) == list(record.json_values)
    assert len(record) == len(record.json_values)
    assert "merged" not in record
    assert record.get("steps") is None
    with pytest.raises(KeyError):
        record["unheard"]


def test_reading_a_record_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "record.json").write_bytes((RESULTS / TRAINING).read_bytes())
    tmp_path.chmod(0o500)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    run = Run(tmp_path)
    _ = run.record.json_values, run.finished, dict(run.record)
    tmp_path.chmod(0o700)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_fields_of_a_later_minor_version_are_ignored(tmp_path: Path) -> None:
    record = record_of(recipes.baseline(), scores({}))
    later = json.loads(json.dumps(record.json_values)) | {"energy_kwh": 3}
    later["provenance"]["host"]["gpu"] = "none"
    (tmp_path / "record.json").write_text(json.dumps(later))
    assert read_record(tmp_path) == record


# ------------------------------------------------------------------------------------ records that are damaged

Place = tuple[str | int, ...]
ALIKE = ("data", "confusion", "baselines")  # by file, task or answer
WRONG: list[Any] = [None, True, 0.5, "text", [[]], {"a": {"b": 1}}, float("nan")]


def places(value: Any, above: Place = ()) -> Iterator[Place]:
    """Every place of a record; of lists, tasks and files, which are all alike, the first two."""
    if above:
        yield above
    if isinstance(value, dict | list):
        parts = list(value.items() if isinstance(value, dict) else enumerate(value))
        for key, part in parts[:2] if isinstance(value, list) or (above and above[0] in ALIKE) else parts:
            yield from places(part, (*above, key))


def changed(values: dict[str, Any], place: Place, change: Callable[[Any, str | int], None]) -> dict[str, Any]:
    """A copy of which one place was changed by `change`, which gets what holds it and its key."""
    new = copy.deepcopy(values)
    holder: Any = new
    for key in place[:-1]:
        holder = holder[key]
    change(holder, place[-1])
    return new


def put(values: dict[str, Any], where: Place, new: Any) -> dict[str, Any]:
    """A copy with another value at one place."""
    return changed(values, where, lambda holder, key: holder.__setitem__(key, new))


def read_or_fault(values: dict[str, Any], directory: Path) -> Record | str:
    """What reading gives: a record whose every field has its type, or one line that names the file."""
    path = directory / "record.json"
    path.write_text(json.dumps(values))
    try:
        record = read_record(directory)
    except RunError as error:
        text = str(error)
        assert text.startswith(f"{path}: ")
        assert text.count("\n") == 0
        assert len(text) < len(str(path)) + 250
        return text
    assert_typed(record)
    json.dumps(record.json_values, allow_nan=False).encode()
    return record


def assert_typed(record: Record) -> None:
    assert all(is_dataclass(part) for part in (record.provenance, record.provenance.host, record.seconds))
    assert all(isinstance(part, str) for part in (record.recipe, record.config_hash, record.provenance.finished))
    assert isinstance(record.seed, int)
    assert record.seconds.total + record.seconds.training > float("-inf")
    for score in (record.scores.dev.overall, record.scores.dev.overall_plain):
        assert isinstance(score, Score)
    for task in record.scores.dev.tasks.values():
        assert all(score.value is None or abs(score.value) >= 0 for score in task.values())
        assert all(score.ci95 is None or len(score.ci95) == 2 for score in task.values())
    assert all(len(file.sha256) >= 0 and file.rows + file.rejected > float("-inf") for file in record.data.values())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("record")


def version_2(name: str, directory: Path) -> dict[str, Any]:
    write_record(directory, read_record((RESULTS / name).parent))
    values: dict[str, Any] = json.loads((directory / "record.json").read_text())
    del values["sha256"]  # so that other changes are seen
    return values


@pytest.mark.parametrize(
    ("name", "version"), [(TRAINING, 1), pytest.param(TRAINING, 2, marks=pytest.mark.slow), (ENSEMBLE, 2)]
)
def test_every_field_with_every_wrong_value_is_one_line_or_still_a_record(name: str, version: int, place: Path) -> None:
    values = values_of(name) if version == 1 else version_2(name, place)
    values["config"] = {}  # free of form, and more than half of the file
    own = {(TRAINING, 1): MOVED, (ENSEMBLE, 2): ("merged",)}.get((name, version), values)  # other fields are the same
    refused = read = 0
    for where in [one for one in places(values) if one[0] in own and one[0] not in ("format", "config")]:
        for wrong in WRONG:
            found = read_or_fault(put(values, where, wrong), place)
            refused, read = refused + isinstance(found, str), read + isinstance(found, Record)
            if isinstance(wrong, float) and isnan(wrong):
                assert f"{'.'.join(map(str, where))}: nan is not a finite number" in str(found)
        read_or_fault(changed(values, where, lambda h, k: h.__delitem__(k)), place)
    assert refused > 3 * read > 0


@pytest.mark.parametrize(
    ("where", "wrong", "line"),
    [
        (("seed",), "0", "seed = '0': input should be a valid integer"),
        (("seed",), True, "seed = True: input should be a valid integer"),
        (("seconds", "training"), "long", "seconds.training = 'long': input should be a valid number"),
        (("scores", "dev", "overall"), 0.5, "scores.dev.overall = 0.5: input should be an object"),
        (("scores", "dev", "sst", "accuracy", "value"), "good", "scores.dev.sst.accuracy.value = 'good': input"),
        (("scores", "dev", "sst"), [1], "scores.dev.sst = [1]: input should be an object"),
        (("scores", "dev", "sst", "accuracy", "ci95"), [0.1], "scores.dev.sst.accuracy.ci95.1 is missing"),
        (("data", "sts-dev.csv", "sha256"), 3, "data.sts-dev.csv.sha256 = 3: input should be a valid string"),
        (("provenance", "host", "threads"), None, "provenance.host.threads = None: input should be a valid integer"),
        (("provenance", "host"), "mine", "provenance.host = 'mine': input should be an object"),
        (("encoder", "shape", "layers"), [6], "encoder.shape.layers = [6]: input should be a number, a text"),
        (("confusion", "sst"), {"0": 1}, "confusion.sst = {'0': 1}: input should be a valid array"),
        (("steps",), [], "steps = []: input should be an object"),
        (("recipe",), {"a\x1b[2J": "b" * 900}, "recipe = {'a\\x1b[2J': 'bbbbbb"),
    ],
)
def test_a_wrong_type_is_one_line_that_names_file_and_field(where: Place, wrong: Any, line: str, place: Path) -> None:
    values = put(version_2(TRAINING, place), where, wrong)
    found = read_or_fault(values, place)
    assert isinstance(found, str)
    assert found.startswith(f"{place / 'record.json'}: damaged: {line}")
    assert found.isprintable()


@pytest.mark.parametrize(
    "where", [("seed",), ("scores",), ("scores", "dev", "overall"), ("seconds", "training"), ("provenance",)]
)
def test_a_missing_field_is_named(where: Place, place: Path) -> None:
    values = changed(version_2(TRAINING, place), where, lambda holder, key: holder.__delitem__(key))
    assert read_or_fault(values, place) == f"{place / 'record.json'}: damaged: {'.'.join(map(str, where))} is missing"


def test_a_fault_of_version_1_is_named_as_it_stands_there(place: Path) -> None:
    values = values_of(TRAINING)
    values["host"]["threads"] = "many"
    assert "record.json: damaged: host.threads = 'many': input" in str(read_or_fault(values, place))
    values = values_of(TRAINING) | {"cut": {"sst": "few"}, "provenance": 3, "truncated": []}
    assert "record.json: damaged: cut.sst = 'few': input" in str(read_or_fault(values, place))


def test_a_record_that_says_only_its_version_names_what_is_missing(tmp_path: Path) -> None:
    found = read_or_fault({"format": 1}, tmp_path)
    assert found == f"{tmp_path / 'record.json'}: damaged: recipe is missing (and 9 more)"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_json_at_any_places_is_one_line_or_a_record(data: st.DataObject, place: Path) -> None:
    values = version_2(data.draw(st.sampled_from([TRAINING, ENSEMBLE, CONSTANT])), place)
    for _ in range(data.draw(st.integers(1, 3))):
        where = data.draw(st.sampled_from(list(places(values))))
        new = data.draw(JSON)
        values = put(values, where, new)
    if values.get("format") == FORMAT:
        read_or_fault(values, place)


@pytest.mark.parametrize(
    "content", ['{"a":' * 50_000 + "1" + "}" * 50_000, "[" * 50_000, '{"format": 2, "seed": 1e999}']
)
def test_deep_and_boundless_json_is_one_line(content: str, tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text(content)
    with pytest.raises(RunError) as failed:
        read_record(tmp_path)
    assert str(failed.value).startswith(f"{tmp_path / 'record.json'}: damaged: ")
    assert str(failed.value).count("\n") == 0


def test_the_configuration_of_a_record_is_read_by_options(tmp_path: Path) -> None:
    record = read_record((RESULTS / TRAINING).parent)
    assert options.make(record.config).tasks.keys() == record.scores.dev.tasks.keys()
