"""What features alone can do: their mean over time into a support vector regression."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from a2inet_jax.evaluation.metrics import srcc

FOLDS = 5
COSTS = (0.25, 1.0, 4.0, 16.0, 64.0)  # C, for labels of unit variance
WIDTHS = (0.0625, 0.25, 1.0, 4.0)  # γ of exp(−γ‖x − y‖²), times the number of features
TUBE = 0.1  # ε, in standard deviations of the labels
Array = NDArray[np.float64]


def pool(videos: Iterable[Sequence[ArrayLike]]) -> Array:
    """Means over the frames of each video's streams [T, D_i], side by side: [N, ΣD_i]."""
    means = [[np.asarray(x, np.float64).mean(axis=0) for x in streams] for streams in videos]
    return np.stack([np.concatenate(each) for each in means])


def svr_scores(
    features: ArrayLike, mos: ArrayLike, groups: ArrayLike, train: ArrayLike, seed: int
) -> Array:
    """Scores of all videos by an RBF support vector regression fitted to the training part.

    C and γ are those with the highest mean SRCC in a cross-validation inside the training part whose
    folds are disjoint in content; features and labels are standardised within each fold. Ties go to
    the smaller C, then the smaller γ: the flatter function.

    Args:
        features: one row a video, [N, D].
        mos: labels, [N]; only the training part's are looked at.
        groups: content ids, [N].
        train: indices of the training part, [M].
        seed: of the folds.

    Returns:
        Scores in the labels' unit, [N] float64.

    Raises:
        ValueError: the training part has fewer than two contents, or one label for all.
    """
    x, y = np.asarray(features, np.float64), np.asarray(mos, np.float64)
    train = np.asarray(train)
    contents = np.asarray(groups)[train]
    number = len(np.unique(contents))
    if number < 2:
        raise ValueError("tuning the SVR needs videos of two contents or more in the training part")
    if np.ptp(y[train]) == 0:
        raise ValueError("all videos of the training part have the same label: nothing to learn")

    folds = GroupKFold(min(FOLDS, number), shuffle=True, random_state=seed)
    agreement = np.zeros((len(COSTS), len(WIDTHS)))
    for fit, held in folds.split(train, groups=contents):
        scores_CxGxH = _scores(x[train[fit]], y[train[fit]], x[train[held]], COSTS, WIDTHS)
        for place in np.ndindex(agreement.shape):
            # No order at all is worth nothing, and a fold of one video tells nothing.
            agreement[place] += np.nan_to_num(srcc(scores_CxGxH[place], y[train[held]]))
    cost, width = np.unravel_index(np.argmax(agreement), agreement.shape)
    return _scores(x[train], y[train], x, COSTS[cost : cost + 1], WIDTHS[width : width + 1])[0, 0]


def _scores(
    x: Array, y: Array, queries: Array, costs: tuple[float, ...], widths: tuple[float, ...]
) -> Array:
    """Scores [C, G, Q] of queries [Q, D] for each C and γ, fitted to x [M, D] and y [M].

    The squared distances are computed once for the whole grid: with thousands of features they cost
    far more than the fits themselves.
    """
    scaler = StandardScaler().fit(x)
    u, v = scaler.transform(x), scaler.transform(queries)
    mean, std = y.mean(), max(y.std(), 1e-12)
    near, far = (euclidean_distances(rows, u, squared=True) / x.shape[1] for rows in (u, v))
    scores = np.empty((len(costs), len(widths), len(queries)))
    for g, width in enumerate(widths):
        kernel, cross = np.exp(-width * near), np.exp(-width * far)
        for c, cost in enumerate(costs):
            machine = SVR(kernel="precomputed", C=cost, epsilon=TUBE)
            machine.fit(kernel, (y - mean) / std)
            scores[c, g] = machine.predict(cross) * std + mean
    return scores
