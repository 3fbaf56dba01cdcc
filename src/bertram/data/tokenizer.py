"""WordPiece: from texts to token ids, and from token ids to the sequences that the encoder reads."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tokenizers
from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer

from bertram.errors import WeightsError

CHARACTERS_AT_ONCE = 1 << 20  # bounds the memory of all that the library notes of a text beside its ids


class Tokenizer:
    """The WordPiece tokenizer of one encoder, without padding and without cutting.

    Attributes:
        cls_id, sep_id, pad_id, unk_id: ids of [CLS], [SEP], [PAD] and [UNK].
        vocab_size: how many ids there are.
    """

    def __init__(self, inner: tokenizers.Tokenizer, source: str) -> None:
        inner.no_padding()
        inner.no_truncation()
        vocabulary = inner.get_vocab()
        missing = [token for token in ("[CLS]", "[SEP]", "[PAD]", "[UNK]") if token not in vocabulary]
        if missing:
            raise WeightsError(f"{source}: not a tokenizer of the BERT family: it has no {', '.join(missing)}")
        self._inner = inner
        self.cls_id = vocabulary["[CLS]"]
        self.sep_id = vocabulary["[SEP]"]
        self.pad_id = vocabulary["[PAD]"]
        self.unk_id = vocabulary["[UNK]"]
        self.vocab_size = inner.get_vocab_size()

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The token ids of each text, without [CLS] and [SEP], however many they are."""
        found: list[list[int]] = []
        for batch in _batches(texts):
            found.extend(encoding.ids for encoding in self._inner.encode_batch_fast(batch, add_special_tokens=False))
        return found

    def encode_with_spans(self, texts: Sequence[str]) -> list[tuple[list[int], list[tuple[int, int]]]]:
        """The token ids of each text with the character span [start, end) of each token, without [CLS] and [SEP]."""
        encodings = (
            encoding
            for batch in _batches(texts)
            for encoding in self._inner.encode_batch(batch, add_special_tokens=False)
        )
        return [(encoding.ids, encoding.offsets) for encoding in encodings]

    def unknown_shares(self, pieces: Sequence[Sequence[list[int]]]) -> npt.NDArray[np.float64]:
        """Share of [UNK] among the tokens of each example, [n]; 1 for an example without a token.

        Args:
            pieces: token ids of the text or texts of each example.
        """
        shares = np.ones(len(pieces))
        for place, texts in enumerate(pieces):
            if total := sum(map(len, texts)):
                shares[place] = sum(text.count(self.unk_id) for text in texts) / total
        return shares

    def joined(self, pieces: Sequence[list[int]], max_tokens: int) -> tuple[list[int], list[int], bool]:
        """One sequence for the encoder: [CLS] a [SEP], or [CLS] a [SEP] b [SEP].

        Args:
            pieces: token ids of one text or of two.
            max_tokens: longest sequence; of two texts the longer one is cut first, and the second where they are of
                equal length, as BERT does.

        Returns:
            The token ids, their segments (0, and 1 for the second text), and whether something was cut.
        """
        room = max_tokens - 1 - len(pieces)
        if len(pieces) == 1:
            kept = [pieces[0][:room]]
        else:
            a, b = pieces
            of_a = min(len(a), max(room - len(b), room - room // 2))
            kept = [a[:of_a], b[: room - of_a]]
        ids, segments = [self.cls_id], [0]
        for segment, piece in enumerate(kept):
            ids += [*piece, self.sep_id]
            segments += [segment] * (len(piece) + 1)
        return ids, segments, sum(map(len, pieces)) > room

    def to_json(self) -> str:
        """The tokenizer as the text of a ``tokenizer.json``."""
        return self._inner.to_str()

    def save(self, directory: Path) -> None:
        """Write the tokenizer's files in the Hugging Face layout, from which `load_tokenizer` reads it again."""
        directory.mkdir(parents=True, exist_ok=True)
        self._inner.save(str(directory / "tokenizer.json"))
        vocabulary = sorted(self._inner.get_vocab().items(), key=lambda entry: entry[1])
        (directory / "vocab.txt").write_text("".join(f"{token}\n" for token, _ in vocabulary), encoding="utf-8")
        normalizer = self._inner.normalizer
        settings = {
            "tokenizer_class": "BertTokenizer",
            "do_lower_case": getattr(normalizer, "lowercase", True),
            "strip_accents": getattr(normalizer, "strip_accents", None),
            "tokenize_chinese_chars": getattr(normalizer, "handle_chinese_chars", True),
            **{f"{name.lower()}_token": f"[{name}]" for name in ("UNK", "SEP", "PAD", "CLS", "MASK")},
        }
        (directory / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    characters = 0
    for text in texts:
        batch.append(text)
        characters += len(text)
        if characters >= CHARACTERS_AT_ONCE:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def load_tokenizer(directory: Path) -> Tokenizer:
    """The tokenizer in a directory of the Hugging Face layout: ``tokenizer.json``, or else ``vocab.txt``.

    Padding and cutting that the file asks for are left out; with ``vocab.txt``, ``do_lower_case`` is taken from
    ``tokenizer_config.json`` and is true without it.

    Raises:
        WeightsError: the files are missing, damaged, or not of the BERT family.
    """
    whole, vocabulary = directory / "tokenizer.json", directory / "vocab.txt"
    try:
        if whole.is_file():
            return Tokenizer(tokenizers.Tokenizer.from_file(str(whole)), str(whole))
        if vocabulary.is_file():
            return Tokenizer(_from_vocabulary(vocabulary), str(vocabulary))
    except WeightsError:
        raise
    except Exception as error:  # the library raises bare Exception for a file it cannot read
        raise WeightsError(f"{directory}: the tokenizer's files cannot be read: {error}") from None
    raise WeightsError(f"{directory}: no tokenizer.json and no vocab.txt; the encoder cannot be used without one")


def _from_vocabulary(path: Path) -> tokenizers.Tokenizer:
    settings = path.parent / "tokenizer_config.json"
    chosen = json.loads(settings.read_text(encoding="utf-8")) if settings.is_file() else {}
    made = BertWordPieceTokenizer(
        str(path),
        lowercase=chosen.get("do_lower_case", True),
        strip_accents=chosen.get("strip_accents"),
        handle_chinese_chars=chosen.get("tokenize_chinese_chars", True),
    )
    return tokenizers.Tokenizer.from_str(made.to_str())
