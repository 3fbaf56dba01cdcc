"""Usage types: clusters of a word's usages, all periods together."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bertram.errors import BertramError
from bertram.semantic_change.measures import Floats

MOST_TYPES = 10
RESTARTS = 10


@dataclass(frozen=True)
class UsageTypes:
    """The usage types of a word.

    Attributes:
        types: [n] type of each usage, 0 for the largest.
        count: number of types, from 2 to 10.
        silhouette: mean silhouette of the usages, in [-1, 1].
        distances: [n, count] distance of each usage to each type's centre, in standardized units.
    """

    types: NDArray[np.intp]
    count: int
    silhouette: float
    distances: Floats


def find_usage_types(vectors: Floats, seed: int = 0) -> UsageTypes | None:
    """K-means of the standardized vectors, with the number of types that has the best silhouette (ties: the smaller).

    Args:
        vectors: [n, H] of one word, all periods together.
        seed: random seed of the starting centres.

    Returns:
        The types; None if there are fewer than 3 different vectors.

    Raises:
        BertramError: scikit-learn is not installed.
    """
    try:
        from sklearn.cluster import KMeans  # noqa: PLC0415 - an extra
        from sklearn.metrics import silhouette_score  # noqa: PLC0415
    except ModuleNotFoundError:
        raise BertramError("usage types need scikit-learn; install it with: pip install 'bertram[change]'") from None
    distinct = len(np.unique(vectors, axis=0))
    spread = vectors.std(0)
    standardized = (vectors - vectors.mean(0)) / np.where(spread > 0, spread, 1.0)
    best: UsageTypes | None = None
    for count in range(2, min(MOST_TYPES, distinct - 1) + 1):
        fit = KMeans(count, n_init=RESTARTS, random_state=seed).fit(standardized)
        silhouette = float(silhouette_score(standardized, fit.labels_))
        if best is None or silhouette > best.silhouette:
            best = _by_size(fit.labels_, fit.transform(standardized), silhouette)
    return best


def _by_size(labels: NDArray[np.intp], distances: Floats, silhouette: float) -> UsageTypes:
    count = distances.shape[1]
    order = np.argsort(-np.bincount(labels, minlength=count), kind="stable")
    return UsageTypes(np.argsort(order)[labels], count, silhouette, distances[:, order])
