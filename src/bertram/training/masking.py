"""Masked tokens (Devlin et al., 2019): which are predicted, and what the encoder reads in their place."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

KEPT, REPLACED = 0.1, 0.1  # share of the chosen tokens that stay, and that become a random token; the others are masked


@dataclass(frozen=True)
class MaskedSequence:
    """A sequence for a masked language model.

    Attributes:
        token_ids: token ids as the encoder reads them.
        chosen: 1 for each token that is predicted, else 0.
    """

    token_ids: list[int]
    chosen: list[int]


@dataclass(frozen=True)
class Masking:
    """Settings of the masks.

    Attributes:
        probability: share of the tokens that are predicted.
        mask_id: id of the mask token.
        vocabulary: number of token ids.
    """

    probability: float
    mask_id: int
    vocabulary: int

    def __call__(
        self, token_ids: Sequence[int], words: Sequence[int], generator: np.random.Generator
    ) -> MaskedSequence:
        """Mask a sequence at random; at least one token is chosen.

        Args:
            token_ids: token ids, special tokens included.
            words: number of the word that each token belongs to, -1 for special tokens; tokens of one word are chosen
                together.
            generator: source of the masks.
        """
        places: dict[int, list[int]] = {}
        for place, word in enumerate(words):
            if word >= 0:
                places.setdefault(word, []).append(place)
        wanted = max(1, round(self.probability * sum(map(len, places.values()))))
        masked, chosen, count = list(token_ids), [0] * len(token_ids), 0
        for word in generator.permutation(list(places)):
            if count >= wanted:
                break
            count += len(places[word])
            for place in places[word]:
                chosen[place] = 1
                masked[place] = self._replacement(token_ids[place], generator)
        return MaskedSequence(masked, chosen)

    def _replacement(self, token_id: int, generator: np.random.Generator) -> int:
        draw = generator.random()
        if draw < KEPT:
            return token_id
        return int(generator.integers(self.vocabulary)) if draw < KEPT + REPLACED else self.mask_id
