"""Whose weights and texts a model is made of, as a card has to say."""

from dataclasses import dataclass

APACHE = "Apache License 2.0 (https://www.apache.org/licenses/LICENSE-2.0)"


@dataclass(frozen=True)
class Origin:
    """Weights or texts of others.

    Attributes:
        words: what they are, and by whom.
        licence: its name; for data a sentence with what is known.
        hub: the id of weights on the Hub.
    """

    words: str
    licence: str
    hub: str = ""


ENCODERS = {
    "minilm": Origin(
        f"all-MiniLM-L6-v2 by the Sentence Transformers team, {APACHE}; made from nreimers/MiniLM-L6-H384-uncased, "
        "which is every second layer of MiniLM (Wang et al., 2020, arXiv 2002.10957), by training on 1.17 billion "
        "pairs of texts, question pairs of Quora and natural-language inference among them.",
        APACHE,
        "sentence-transformers/all-MiniLM-L6-v2",
    ),
    "google-bert/bert-base-uncased": Origin(
        f"bert-base-uncased (Devlin et al., 2019, arXiv 1810.04805), {APACHE}.", APACHE, "google-bert/bert-base-uncased"
    ),
}
UNKNOWN_ENCODER = Origin("made from an encoder whose licence BERTram does not know; ask its owner.", "unknown")

DATA = {
    "sample": Origin(
        "the sample's own sentences, written for BERTram.",
        "The sample's sentences are free to use under CC0 1.0 or Apache-2.0.",
    ),
    "sst": Origin(
        "by its file names the Stanford Sentiment Treebank (Socher et al., 2013), five classes, from film reviews "
        "collected by Pang and Lee (2005).",
        "The Stanford Sentiment Treebank is published for research without a licence text; cite Socher et al. (2013).",
    ),
    "quora": Origin(
        "by its file names question pairs published by Quora (2017).",
        "Quora's question pairs are under Quora's terms of service, for non-commercial use.",
    ),
    "sts": Origin(
        "by its file names the STS benchmark (Cer et al., 2017), possibly split anew.",
        "The STS benchmark collects sentences under several licences, listed in the LICENSE.txt that comes with it; "
        "cite Cer et al. (2017).",
    ),
}
UNKNOWN_DATA = Origin(
    "files of the one who trained it.", "One or more tasks were trained on files whose licence BERTram does not know."
)
