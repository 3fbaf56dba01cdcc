"""From texts to token ids, and from token ids to the sequences that the encoder reads."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tokenizers
from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer
from tokenizers.normalizers import BertNormalizer
from tokenizers.processors import TemplateProcessing

from bertram.errors import WeightsError

CHARACTERS_AT_ONCE = 1 << 20  # bounds the memory of all that the library notes of a text beside its ids


PROBES = ("a", "the", "1", ".")  # texts of which at least one has a token in any vocabulary
PADDING_TOKENS = ("[PAD]", "<pad>")
MASK_TOKENS = ("[MASK]", "<mask>")


@dataclass(frozen=True)
class Template:
    """The special tokens around one text and around two, as a tokenizer's file has them.

    Attributes:
        before: id of the token before the first text.
        between: ids of the tokens between two texts.
        after: id of the token after the last text.
    """

    before: int
    between: tuple[int, ...]
    after: int


class Tokenizer:
    """The tokenizer of one encoder, without padding and without cutting.

    Attributes:
        template: special tokens around one text and around two.
        cls_id: id of the token before a text.
        sep_id: id of the token after a text.
        pad_id: id of the padding token.
        unk_id: id of the unknown token; -1 where every text has tokens, such as its bytes.
        mask_id: id of the mask token; None without one.
        vocab_size: number of ids, the largest one plus 1.
    """

    def __init__(self, inner: tokenizers.Tokenizer, source: str) -> None:
        inner.no_padding()
        inner.no_truncation()
        vocabulary = inner.get_vocab()
        unk_token = getattr(inner.model, "unk_token", None)
        padding = next((token for token in PADDING_TOKENS if token in vocabulary), None)
        self.template = _template(inner, source)
        missing = [] if padding else [" or ".join(PADDING_TOKENS)]
        missing += [unk_token] if isinstance(unk_token, str) and unk_token not in vocabulary else []
        if missing:
            raise WeightsError(f"{source}: not a tokenizer of an encoder: it has no {', '.join(missing)}")
        assert padding is not None
        self._inner = inner
        self.cls_id, self.sep_id = self.template.before, self.template.after
        self.pad_id = vocabulary[padding]
        self.unk_id = vocabulary[unk_token] if isinstance(unk_token, str) else -1
        self.mask_id = next((vocabulary[token] for token in MASK_TOKENS if token in vocabulary), None)
        self.vocab_size = max(vocabulary.values()) + 1

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The token ids of each text, without [CLS] and [SEP], however many they are."""
        token_ids: list[list[int]] = []
        for batch in _batches(texts):
            token_ids.extend(
                encoding.ids for encoding in self._inner.encode_batch_fast(batch, add_special_tokens=False)
            )
        return token_ids

    def encode_rows(self, rows: Sequence[tuple[str, ...]]) -> list[tuple[list[int], ...]]:
        """The token ids of the one or two texts of each row, without [CLS] and [SEP]."""
        columns = [self.encode([texts[number] for texts in rows]) for number in range(len(rows[0]))]
        return list(zip(*columns, strict=True))

    def encode_with_spans(self, texts: Sequence[str]) -> list[tuple[list[int], list[tuple[int, int]]]]:
        """The token ids of each text with the character span [start, end) of each token, without [CLS] and [SEP]."""
        encodings = (
            encoding
            for batch in _batches(texts)
            for encoding in self._inner.encode_batch(batch, add_special_tokens=False)
        )
        return [(encoding.ids, encoding.offsets) for encoding in encodings]

    def encode_with_words(self, texts: Sequence[str]) -> Iterator[tuple[list[int], list[int]]]:
        """The token ids of each text with the number of each token's word in the text, without special tokens."""
        for batch in _batches(texts):
            for encoding in self._inner.encode_batch(batch, add_special_tokens=False):
                words = [-2 if word is None else word for word in encoding.word_ids]
                yield encoding.ids, [max(words, default=0) + 1 + n if w == -2 else w for n, w in enumerate(words)]

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
        """One sequence for the encoder: such as [CLS] a [SEP] or [CLS] a [SEP] b [SEP], as the template has it.

        Args:
            pieces: token ids of one text or of two.
            max_tokens: longest sequence; of two texts the longer one is cut first, and the second where they are of
                equal length, as BERT does.

        Returns:
            The token ids, their segments (1 for the second text and what follows it, else 0), and whether something
            was cut.
        """
        between = self.template.between if len(pieces) > 1 else ()
        room = max_tokens - 2 - len(between)
        if len(pieces) == 1:
            truncated = [pieces[0][:room]]
        else:
            a, b = pieces
            of_a = min(len(a), max(room - len(b), room - room // 2))
            truncated = [a[:of_a], b[: room - of_a]]
        first = [self.cls_id, *truncated[0], *between]
        second = [*(truncated[1] if len(truncated) > 1 else ()), self.sep_id]
        segments = [0] * len(first) + [len(truncated) - 1] * len(second)
        return first + second, segments, sum(map(len, pieces)) > room

    def to_json(self) -> str:
        """The tokenizer as the text of a ``tokenizer.json``."""
        return self._inner.to_str()

    def save(self, directory: Path, *, segments: bool = False) -> None:
        """Write the tokenizer's files in the Hugging Face layout, from which `load_tokenizer` reads it again.

        Args:
            directory: directory to write to; created if it is missing.
            segments: let the type ids be our segments, also for an encoder without segments.
        """
        directory.mkdir(parents=True, exist_ok=True)
        self._with_special_tokens(segments=segments).save(str(directory / "tokenizer.json"))
        if not isinstance(self._inner.normalizer, BertNormalizer) or self._token(self.cls_id) != "[CLS]":
            _write_settings(directory, {"tokenizer_class": "PreTrainedTokenizerFast", **self._special_tokens()})
            return
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
        _write_settings(directory, settings)

    def _with_special_tokens(self, *, segments: bool) -> tokenizers.Tokenizer:
        """The tokenizer with a template that gives what `joined` gives; itself if its own template does."""
        pieces = self.encode([PROBES[0]])
        encodings = self._inner.encode(PROBES[0]), self._inner.encode(PROBES[0], PROBES[0])
        expected = self.joined(pieces, 1 << 20), self.joined(pieces * 2, 1 << 20)
        if all(
            encoding.ids == token_ids and (encoding.type_ids == type_ids or not segments)
            for encoding, (token_ids, type_ids, _) in zip(encodings, expected, strict=True)
        ):
            return self._inner
        before, after = self._token(self.cls_id), self._token(self.sep_id)
        between = [self._token(number) for number in self.template.between]
        single, first = f"{before}:0 $A:0 {after}:0", " ".join(f"{token}:0" for token in (before, "$A", *between))
        copied = tokenizers.Tokenizer.from_str(self._inner.to_str())
        ids = {before: self.cls_id, after: self.sep_id} | dict(zip(between, self.template.between, strict=True))
        copied.post_processor = TemplateProcessing(
            single=single, pair=f"{first} $B:1 {after}:1", special_tokens=list(ids.items())
        )
        return copied

    def _special_tokens(self) -> dict[str, str]:
        vocabulary = self._inner.get_vocab()
        mask = next((token for token in MASK_TOKENS if token in vocabulary), None)
        tokens = {"cls": self.cls_id, "sep": self.sep_id, "pad": self.pad_id, "unk": self.unk_id}
        special_tokens = {f"{name}_token": self._token(number) for name, number in tokens.items() if number >= 0}
        return special_tokens | ({} if mask is None else {"mask_token": mask})

    def _token(self, number: int) -> str:
        token = self._inner.id_to_token(number)
        assert token is not None
        return token


def _write_settings(directory: Path, settings: Mapping[str, Any]) -> None:
    (directory / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def _template(inner: tokenizers.Tokenizer, source: str) -> Template:
    """The special tokens that a tokenizer's file puts around texts; those of BERT where it has them and says nothing.

    Raises:
        WeightsError: there is not one token before and one after a text, or the tokens of a pair are others.
    """
    probe = next((text for text in PROBES if inner.encode(text, add_special_tokens=False).ids), None)
    if probe is not None:
        single, pair = inner.encode(probe), inner.encode(probe, probe)
        around, parts = _special_parts(single), _special_parts(pair)
        if [len(part) for part in around] == [1, 1]:
            if len(parts) != 3 or not parts[1] or [parts[0], parts[2]] != around:
                raise WeightsError(f"{source}: not a tokenizer of an encoder: it joins two texts in no known way")
            return Template(around[0][0], tuple(parts[1]), around[1][0])
        if any(around):
            raise WeightsError(f"{source}: not a tokenizer of an encoder: it needs one token before and after a text")
    vocabulary = inner.get_vocab()
    missing = [token for token in ("[CLS]", "[SEP]") if token not in vocabulary]
    if missing:
        raise WeightsError(
            f"{source}: not a tokenizer of an encoder: it puts no special tokens around a text, and it has no "
            f"{', '.join(missing)}"
        )
    return Template(vocabulary["[CLS]"], (vocabulary["[SEP]"],), vocabulary["[SEP]"])


def _special_parts(encoding: tokenizers.Encoding) -> list[list[int]]:
    """The special tokens before, between and after the texts."""
    parts: list[list[int]] = [[]]
    text: int | None = None
    for token, owner in zip(encoding.ids, encoding.sequence_ids, strict=True):
        if owner is None:
            parts[-1].append(token)
        elif owner != text:
            text = owner
            parts.append([])
    return parts


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
        WeightsError: the files are missing, damaged, or of a tokenizer without the special tokens of an encoder.
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
    tokenizer = BertWordPieceTokenizer(
        str(path),
        lowercase=chosen.get("do_lower_case", True),
        strip_accents=chosen.get("strip_accents"),
        handle_chinese_chars=chosen.get("tokenize_chinese_chars", True),
    )
    return tokenizers.Tokenizer.from_str(tokenizer.to_str())
