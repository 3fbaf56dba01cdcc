"""Tiny encoders of every family, written by `transformers` with random weights, and tokenizers as they have them."""

from pathlib import Path
from typing import Any

import tokenizers
import torch
import transformers
from tokenizers import models, normalizers, pre_tokenizers, processors, trainers

VOCABULARY, HIDDEN, POSITIONS = 300, 24, 140
USUAL: dict[str, Any] = {
    "vocab_size": VOCABULARY, "hidden_size": HIDDEN, "num_hidden_layers": 4, "num_attention_heads": 3,
    "intermediate_size": 40, "max_position_embeddings": POSITIONS, "layer_norm_eps": 1e-6,
}  # fmt: skip
AFTER_PADDING = USUAL | {"max_position_embeddings": POSITIONS + 2, "pad_token_id": 1}
DISTILBERT = {
    "vocab_size": VOCABULARY, "dim": HIDDEN, "n_layers": 4, "n_heads": 3, "hidden_dim": 40,
    "max_position_embeddings": POSITIONS,
}  # fmt: skip
MODERNBERT = {key: value for key, value in USUAL.items() if key != "layer_norm_eps"} | {
    "local_attention": 12, "pad_token_id": 0, "cls_token_id": 1, "sep_token_id": 2, "bos_token_id": 1,
    "eos_token_id": 2,
}  # fmt: skip
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {  # name of the peer's classes, and the configuration
    "bert": ("Bert", USUAL),
    "roberta": ("Roberta", AFTER_PADDING | {"type_vocab_size": 1}),
    "xlm-roberta": ("XLMRoberta", AFTER_PADDING | {"type_vocab_size": 1}),
    "mpnet": ("MPNet", AFTER_PADDING),
    "distilbert": ("DistilBert", DISTILBERT),
    "electra": ("Electra", USUAL | {"embedding_size": 16}),
    "modernbert": ("ModernBert", MODERNBERT),
}


def save_peer(family: str, directory: Path, **changes: Any) -> torch.nn.Module:
    """Write a random encoder of a family; gives the peer's model."""
    name, values = FAMILIES[family]
    torch.manual_seed(0)
    model_class: Any = getattr(transformers, f"{name}Model")
    peer = model_class(getattr(transformers, f"{name}Config")(**values, **changes))
    with torch.no_grad():
        for parameter in peer.parameters():  # norms start at 1 and biases at 0, which would hide mistakes
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    peer.save_pretrained(directory)
    loaded: torch.nn.Module = model_class.from_pretrained(directory).eval()
    return loaded


BERT_TOKENS = {"before": "[CLS]", "after": "[SEP]", "padding": "[PAD]", "unknown": "[UNK]", "mask": "[MASK]"}
ROBERTA_TOKENS = {"before": "<s>", "after": "</s>", "padding": "<pad>", "unknown": "<unk>", "mask": "<mask>"}


def save_tokenizer(family: str, directory: Path, texts: list[str]) -> None:
    """Write a tokenizer of the kind that a family has, trained on some texts."""
    inner, trainer, tokens = _untrained(family)
    inner.train_from_iterator(texts, trainer)
    before, after = tokens["before"], tokens["after"]
    vocabulary = inner.get_vocab()
    ids = {token: vocabulary[token] for token in (before, after)}
    if family in ("roberta", "mpnet"):
        inner.post_processor = processors.RobertaProcessing((after, ids[after]), (before, ids[before]))
    else:
        between = f"{after} {after}" if family == "xlm-roberta" else after
        second = "" if family == "xlm-roberta" else ":1"
        inner.post_processor = processors.TemplateProcessing(
            single=f"{before} $A {after}",
            pair=f"{before} $A {between} $B{second} {after}{second}",
            special_tokens=list(ids.items()),
        )
    inner.save(str(directory / "tokenizer.json"))


def _untrained(family: str) -> tuple[tokenizers.Tokenizer, Any, dict[str, str]]:
    tokens = ROBERTA_TOKENS if family in ("roberta", "xlm-roberta", "mpnet") else BERT_TOKENS
    special = [tokens[name] for name in ("before", "padding", "after", "unknown", "mask")]  # padding is 1, as RoBERTa's
    if family in ("roberta", "modernbert"):
        inner = tokenizers.Tokenizer(models.BPE())
        inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        return inner, trainers.BpeTrainer(
            vocab_size=VOCABULARY, special_tokens=special, initial_alphabet=alphabet, show_progress=False
        ), tokens  # fmt: skip
    if family == "xlm-roberta":
        inner = tokenizers.Tokenizer(models.Unigram())
        inner.pre_tokenizer = pre_tokenizers.Metaspace()
        return inner, trainers.UnigramTrainer(
            vocab_size=VOCABULARY, special_tokens=special, unk_token=tokens["unknown"], show_progress=False
        ), tokens  # fmt: skip
    inner = tokenizers.Tokenizer(models.WordPiece(unk_token=tokens["unknown"]))
    inner.normalizer = normalizers.BertNormalizer()
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=VOCABULARY, special_tokens=special, show_progress=False)
    return inner, trainer, tokens
