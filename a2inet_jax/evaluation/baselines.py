"""The SVR baseline: features averaged over time, and a support vector regression on them."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from a2inet_jax.errors import DataError
from a2inet_jax.metrics import srcc

MAX_FOLDS = 5
C_GRID = (0.25, 1.0, 4.0, 16.0, 64.0)  # for labels of unit variance
GAMMA_GRID = (0.0625, 0.25, 1.0, 4.0)  # γ of exp(−γ‖x − y‖²), times the number of features
EPSILON = 0.1  # half the width of the tube without loss, in standard deviations of the labels
Array = NDArray[np.float64]


def mean_pool(videos: Iterable[Sequence[ArrayLike]]) -> Array:
    """Average each video's streams [T, D_i] over time and concatenate them: [N, ΣD_i]."""
    means = [[np.asarray(x, np.float64).mean(axis=0) for x in streams] for streams in videos]
    return np.stack([np.concatenate(each) for each in means])


def svr_scores(
    features: ArrayLike, mos: ArrayLike, groups: ArrayLike, train: ArrayLike, seed: int
) -> Array:
    """Score all videos by an RBF support vector regression fitted to the training set.

    C and γ are chosen by the highest mean SRCC of a cross-validation within the training set, whose
    folds share no content; features and labels are standardised within each fold. Ties go to the
    smaller C, then to the smaller γ: the flatter function.

    Args:
        features: One row per video, [N, D].
        mos: Labels, [N]; only those of the training set are used.
        groups: Content ids, [N].
        train: Indices of the training videos, [M].
        seed: Seed of the folds.

    Returns:
        Scores in the unit of the labels, [N] float64.

    Raises:
        DataError: The training set has fewer than two contents, or a single label value.
    """
    x_NxD, y_N = np.asarray(features, np.float64), np.asarray(mos, np.float64)
    train_M = np.asarray(train)
    contents_M = np.asarray(groups)[train_M]
    num_contents = len(np.unique(contents_M))
    if num_contents < 2:
        raise DataError("the SVR needs training videos of at least two contents for its tuning")
    if np.ptp(y_N[train_M]) == 0:
        raise DataError("all training videos have the same label: there is nothing to learn")

    # Tune C and γ.
    folds = GroupKFold(min(MAX_FOLDS, num_contents), shuffle=True, random_state=seed)
    agreement_CxG = np.zeros((len(C_GRID), len(GAMMA_GRID)))
    for fit, held_out in folds.split(train_M, groups=contents_M):
        fit, held_out = train_M[fit], train_M[held_out]
        scores_CxGxH = _scores(x_NxD[fit], y_N[fit], x_NxD[held_out], C_GRID, GAMMA_GRID)
        for index in np.ndindex(agreement_CxG.shape):
            # Undefined for constant scores, which are worth nothing, and for a fold of one video.
            agreement_CxG[index] += np.nan_to_num(srcc(scores_CxGxH[index], y_N[held_out]))
    c, g = np.unravel_index(np.argmax(agreement_CxG), agreement_CxG.shape)

    # Fit to the whole training set.
    best_c, best_gamma = C_GRID[c : c + 1], GAMMA_GRID[g : g + 1]
    return _scores(x_NxD[train_M], y_N[train_M], x_NxD, best_c, best_gamma)[0, 0]


def _scores(
    x_MxD: Array,
    y_M: Array,
    queries_QxD: Array,
    c_values: tuple[float, ...],
    gamma_values: tuple[float, ...],
) -> Array:
    """Return the scores [C, G, Q] of the queries for each C and γ, fitted to x and y.

    The squared distances are computed once for the whole grid: with thousands of features they cost
    far more than the fits themselves.
    """
    scaler = StandardScaler().fit(x_MxD)
    u_MxD, v_QxD = scaler.transform(x_MxD), scaler.transform(queries_QxD)
    mean, std = y_M.mean(), max(y_M.std(), 1e-12)
    distance_MxM, distance_QxM = (
        euclidean_distances(rows, u_MxD, squared=True) / x_MxD.shape[1] for rows in (u_MxD, v_QxD)
    )
    scores_CxGxQ = np.empty((len(c_values), len(gamma_values), len(queries_QxD)))
    for g, gamma in enumerate(gamma_values):
        kernel_MxM, kernel_QxM = np.exp(-gamma * distance_MxM), np.exp(-gamma * distance_QxM)
        for c, c_value in enumerate(c_values):
            svr = SVR(kernel="precomputed", C=c_value, epsilon=EPSILON)
            svr.fit(kernel_MxM, (y_M - mean) / std)
            scores_CxGxQ[c, g] = svr.predict(kernel_QxM) * std + mean
    return scores_CxGxQ
