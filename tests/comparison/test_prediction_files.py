"""Files of predictions are read in every form and matched id by id."""

import gzip
from pathlib import Path

import pytest

from bertram.comparison.prediction_files import match_predictions, read_predictions
from bertram.errors import DataError
from bertram.tasks import QUORA, SST, STS


@pytest.mark.parametrize(
    "content",
    [
        "id \t Predicted_Sentiment \na , 3 \nb , 0.0 \n",
        "id,prediction\na,3.0\nb,0\n",
        "ID\tlabel\r\na\t3\r\nb\t0\r\n",
        '\ufeff,id,text,output\n0,a,"one, two\nthree",3\n1,b,x,0\n',
        "\tid\tsentence\tPredicted_Sentiment\n0\ta\tx, y\t3\n1\tb\tz\t0\n",
        '{"id": "a", "output": 3}\n\n{"id": "b", "output": 0}',
        '{"id": "a", "text": "x", "value": "3", "probabilities": [1]}\n{"id": "b", "value": 0, "text": "\u2028"}\n',
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_every_form_is_read(tmp_path: Path, content: str, packed: bool) -> None:
    path = tmp_path / "predictions"
    path.write_bytes(gzip.compress(content.encode()) if packed else content.encode())
    assert read_predictions(path) == {"a": 3.0, "b": 0.0}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"id,prediction\n", "only a header"),
        (b"a,3\nb,0\n", "line 1: no 'id' among 'a', '3'; the first line must name the columns"),
        (b"id,x,y\na,1,2\n", "line 1: which of 'id', 'x', 'y' is the value? Call it 'prediction'"),
        (b"id,prediction\na,3\nb\n\nc,1,2\nd,\n", "lines that cannot be read: 2 (line 3: "),
        (b"id,prediction\na,3\nb\n", "line 3: the number of fields is 1, not 2"),
        (b'id\tprediction\na\t1\n"b\t0\nc"\t1\n', "line 3: a quoted field would make one row of lines 3 to 4"),
        (b'id,prediction\na,1\n"b,0\nc,1\n', 'line 3: a field opens with " that is not closed'),
        (b"id,prediction\na,3\nb,nan\n", "line 3: 'nan' is not a finite number"),
        (b"id,prediction\na,3\nb,positive\n", "line 3: 'positive' is not a finite number"),
        (b'{"id": "a", "output": 1}\n{"id": "b", "output": null}\n', "line 2: None is not a finite number"),
        (b'{"id": "a", "output": 1}\n[1]\n', "line 2: is no JSON object"),
        (b'{"id": "a", "output": 1}\n{"id": "b"\n', "line 2: is no JSON object"),
        (b'{"id": "a", "output": 1}\n{"output": 2}\n', "line 2: no 'id'"),
        (b"id,prediction\na,3\nb\xff,1\n", "line 3: bytes that are not UTF-8"),
        (b"\x1f\x8bnonsense", "gzip"),
        (b"id,prediction\na,1\nb,1\na,1\n", "double ids: 1 ('a' in lines 2, 4)"),
    ],
)
def test_faults_of_a_file_name_the_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "predictions.csv"
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        read_predictions(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_predictions(tmp_path / "absent.csv")
    with pytest.raises(DataError, match="Is a directory"):
        read_predictions(tmp_path)


def test_ids_are_matched_in_the_order_of_gold(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text("id,prediction\nrejected,1\nb,2\na,1.0\n")
    matched = match_predictions(path, {"a": 0, "b": 2}, SST.label_space, ignore={"rejected"})
    assert (matched.gold.tolist(), matched.missing, matched.ids) == ([0, 2], 0, ["a", "b"])
    assert matched.predicted.tolist() == [1, 2]


def test_all_that_does_not_fit_comes_at_once(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text("id,prediction\n" + "".join(f"new{i},1\n" for i in range(7)) + "a,1\na,0\nb,2\nc,0.5\n")
    with pytest.raises(DataError) as error:
        match_predictions(path, {"a": 0, "b": 1, "c": 1, "lost": 1}, QUORA.label_space)
    assert str(error.value) == (
        f"{path}: does not fit the gold labels:\n"
        "  - ids without a prediction: 1 ('lost')\n"
        "  - ids without a gold label: 7 ('new0'; 'new1'; 'new2'; 'new3'; 'new4'; …)\n"
        "  - double ids: 1 ('a' in lines 9, 10)\n"
        "  - values that the task does not have: 2 (line 11: 2 is not a whole number from 0 to 1; "
        "line 12: 0.5 is not a whole number from 0 to 1)"
    )


def test_a_similarity_may_be_any_finite_number(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text("id,prediction\na,-0.2\nb,5.3\n")
    assert match_predictions(path, {"a": 0, "b": 5}, STS.label_space).predicted.tolist() == [-0.2, 5.3]
