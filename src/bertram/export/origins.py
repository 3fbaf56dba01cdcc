"""Origins and licences of weights and data, for the model card."""

from dataclasses import dataclass

APACHE = "Apache License 2.0 (https://www.apache.org/licenses/LICENSE-2.0)"


@dataclass(frozen=True)
class Origin:
    """Weights or texts by others.

    Attributes:
        words: description, with authors.
        licence: name of the licence; for data, a sentence.
        hub: id of the weights on the Hub.
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
    "mpnet": Origin(
        f"all-mpnet-base-v2 by the Sentence Transformers team, {APACHE}; made from microsoft/mpnet-base (Song et al., "
        "2020, arXiv 2004.09297) by training on 1.17 billion pairs of texts, question pairs of Quora and "
        "natural-language inference among them.",
        APACHE,
        "sentence-transformers/all-mpnet-base-v2",
    ),
    "google-bert/bert-base-uncased": Origin(
        f"bert-base-uncased (Devlin et al., 2019, arXiv 1810.04805), {APACHE}.", APACHE, "google-bert/bert-base-uncased"
    ),
}
UNKNOWN_ENCODER = Origin("made from an encoder whose licence is unknown to BERTram; ask its owner.", "unknown")

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
    "files of the person who trained it.",
    "Some tasks were trained on files whose licence BERTram does not know.",
)
