from pathlib import Path

import numpy as np
import pytest
import torch
from tests.common.encoders import save_encoder

from bertram.errors import WeightsError
from bertram.semantic_change.usages import Usage
from bertram.semantic_change.vectors import load_usage_encoder, usage_vectors

TEXTS = ["The window was open.", "a window", "So many windows and one unputdownable window here, all of them shut."]


def usages() -> list[Usage]:
    spans = [(text, text.rindex("window")) for text in TEXTS]
    return [Usage("window", "1900", text, start, start + 6, "1", "f:1") for text, start in spans]


def never(_: int) -> None:
    pass


@pytest.fixture
def encoder_directory(tmp_path: Path) -> Path:
    return save_encoder(tmp_path / "encoder")


def test_a_vector_is_the_mean_hidden_state_of_the_targets_word_pieces_in_each_layer(
    encoder_directory: Path, tmp_path: Path
) -> None:
    transformers = pytest.importorskip("transformers")
    encoder = load_usage_encoder(str(encoder_directory))
    vectors, kept, faults = usage_vectors(usages(), encoder, 64, tmp_path / "vectors", never)
    assert (len(kept), faults, vectors.shape) == (3, [], (3, 2, 32))
    peer = transformers.AutoModel.from_pretrained(encoder_directory, attn_implementation="eager").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(encoder_directory)
    for usage, vector in zip(kept, vectors, strict=True):
        read = tokenizer(usage.text, return_offsets_mapping=True, return_tensors="pt")
        offsets = read.pop("offset_mapping")[0]
        pieces = (offsets[:, 0] >= usage.start) & (offsets[:, 1] <= usage.end) & (offsets[:, 1] > offsets[:, 0])
        with torch.no_grad():
            layers = peer(**read, output_hidden_states=True).hidden_states[1:]
        expected = torch.stack([layer[0, pieces].mean(0) for layer in layers]).numpy()
        np.testing.assert_allclose(vector, expected, atol=1e-5)


@pytest.mark.slow
def test_vectors_on_disk_are_used_again_and_known_by_their_content(encoder_directory: Path, tmp_path: Path) -> None:
    cache = tmp_path / "vectors"
    encoder = load_usage_encoder(str(encoder_directory))
    first, *_ = usage_vectors(usages(), encoder, 64, cache, never)
    (file,) = cache.iterdir()
    marked = first + 1
    np.save(file, marked)
    again, *_ = usage_vectors(usages(), encoder, 64, cache, never)
    np.testing.assert_array_equal(again, marked)
    fewer, *_ = usage_vectors(usages()[:2], encoder, 64, cache, never)  # other usages: not from that file
    np.testing.assert_allclose(fewer, first[:2], atol=1e-6)
    other = load_usage_encoder(str(save_encoder(tmp_path / "other", seed=1)))  # other weights under the same word
    assert not np.allclose(usage_vectors(usages(), other, 64, cache, never)[0], marked)


@pytest.mark.slow
def test_a_damaged_file_of_vectors_is_made_again(encoder_directory: Path, tmp_path: Path) -> None:
    cache = tmp_path / "vectors"
    encoder = load_usage_encoder(str(encoder_directory))
    first, *_ = usage_vectors(usages(), encoder, 64, cache, never)
    (file,) = cache.iterdir()
    file.write_bytes(file.read_bytes()[:200])
    again, *_ = usage_vectors(usages(), encoder, 64, cache, never)
    np.testing.assert_array_equal(again, first)


def test_an_encoder_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such directory"):
        load_usage_encoder(str(tmp_path / "nothing"))
