"""What `sentence-transformers` makes of our exports."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from tests.common.models import PAIRS, TEXTS, changed_task, random_model, study_tasks
from tests.common.quick import quick_only

from bertram.data.packing import pack
from bertram.errors import BertramError
from bertram.export.sentence_transformers import chosen_task, save_scores, save_vectors, vectors_usage
from bertram.prediction.model import Model
from bertram.tasks import QUORA, SST, STS

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the peers to their own authors


def our_vectors(model: Model, texts: list[str]) -> torch.Tensor:
    pieces = model.tokenizer.encode(texts)
    with torch.no_grad():
        return model.network.pooled(pack([model.tokenizer.joined([p], model.max_tokens)[0] for p in pieces]))


@pytest.mark.parametrize("pooling", ["cls", "mean", "pooler"])
def test_sentence_transformer_gives_our_vectors(pooling: str, tiny_encoder: Path, tmp_path: Path) -> None:
    model = random_model(tiny_encoder, study_tasks(encoding="bi", head="cosine"), pooling, max_tokens=24)
    save_vectors(model, tmp_path)
    texts = [*TEXTS, "a long text " * 30]
    found = SentenceTransformer(str(tmp_path), device="cpu").encode(texts)
    np.testing.assert_allclose(found, our_vectors(model, texts), atol=1e-5)


def test_its_similarity_is_that_of_the_heads(tiny_encoder: Path, tmp_path: Path) -> None:
    model = random_model(tiny_encoder, study_tasks(encoding="bi", head="manhattan"))
    save_vectors(model, tmp_path)
    assert SentenceTransformer(str(tmp_path), device="cpu").similarity_fn_name == "manhattan"


def test_the_card_tells_how_vectors_become_predictions(tiny_encoder: Path) -> None:
    model = random_model(tiny_encoder, study_tasks(encoding="bi", head="cosine"))
    a, b = our_vectors(model, [PAIRS[0][0].lower(), PAIRS[0][1].lower()])
    cosine = float(torch.cosine_similarity(a, b, dim=0))
    formula = next(line for line in vectors_usage(model).splitlines() if line.startswith("- sts"))
    numbers = formula.partition("sigmoid(")[2].rstrip(")").replace(" · cos(u, v) ", ",").split(",")
    logit = float(numbers[0]) * cosine + float(numbers[1])
    [wanted] = model.predict("sts", PAIRS[:1])
    assert 5 / (1 + np.exp(-logit)) == pytest.approx(wanted.value, abs=2e-3)  # the card shows 4 decimals


@pytest.mark.parametrize("head", ["linear", "mlp"])
@pytest.mark.parametrize("pooling", ["cls", "mean", "pooler"])
@pytest.mark.parametrize("name", quick_only({"sts"}, ["quora", "sts"]))
def test_cross_encoder_gives_our_scores(name: str, pooling: str, head: str, tiny_encoder: Path, tmp_path: Path) -> None:
    model = random_model(tiny_encoder, study_tasks(head=head), pooling)
    save_scores(model, model.tasks[name], tmp_path)
    found = CrossEncoder(str(tmp_path), device="cpu").predict(PAIRS)
    ours = model.predict(name, PAIRS)
    wanted = [one.value if one.probabilities is None else one.probabilities[1] for one in ours]
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_cross_encoder_holds_a_pair_task_with_classes(tiny_encoder: Path, tmp_path: Path) -> None:
    nli = changed_task(SST, name="nli", files={"texts": ("a", "b")}, hub=None, text_normalization="plain")
    model = random_model(tiny_encoder, {"nli": nli})
    save_scores(model, nli, tmp_path)
    found = CrossEncoder(str(tmp_path), device="cpu").predict(PAIRS, apply_softmax=True)
    expected = np.array([prediction.probabilities for prediction in model.predict("nli", PAIRS)])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_what_it_is_depends_on_how_pairs_are_encoded(tiny_encoder: Path) -> None:
    assert chosen_task(random_model(tiny_encoder, study_tasks(encoding="bi", head="features")), None) is None
    one_pair = random_model(tiny_encoder, {"sst": SST, "sts": STS})
    assert chosen_task(one_pair, None) == STS
    mixed = random_model(tiny_encoder, {"quora": QUORA, "sts": changed_task(STS, encoding="bi", head="cosine")})
    assert chosen_task(mixed, None) is None
    assert chosen_task(mixed, "quora") == QUORA
    one_of_two = random_model(tiny_encoder, {"quora": changed_task(QUORA, head="features"), "sts": STS})
    assert chosen_task(one_of_two, None) == STS
    with pytest.raises(BertramError, match="this head compares two; use --format onnx or hf"):
        chosen_task(random_model(tiny_encoder, {"sts": changed_task(STS, head="features")}), "sts")


@pytest.mark.parametrize(
    ("its", "asked", "says"),
    [
        ({"sst": SST}, None, "no task of this run compares texts"),
        ({"sst": SST, "sts": STS}, "sst", "tasks.sst: a CrossEncoder scores pairs, and this task reads single texts"),
        ({"quora": QUORA, "sts": STS}, None, "use --task quora or --task sts"),
    ],
    ids=["no pairs", "one text", "several"],
)
def test_what_cannot_be_held_is_refused_by_name(
    its: dict[str, object], asked: str | None, says: str, tiny_encoder: Path
) -> None:
    with pytest.raises(BertramError, match=says):
        chosen_task(random_model(tiny_encoder, its), asked)  # type: ignore[arg-type]


def test_coral_and_both_orders_are_refused_by_name(tiny_encoder: Path) -> None:
    ranks = changed_task(SST, name="ranks", files={"texts": ("a", "b")}, hub=None, loss="coral")
    with pytest.raises(BertramError, match=r"tasks\.ranks: .*CORAL"):
        chosen_task(random_model(tiny_encoder, {"ranks": ranks}), None)
    with pytest.raises(BertramError, match=r"model\.both_orders"):
        chosen_task(random_model(tiny_encoder, {"sts": STS}, both_orders=True), None)
