"""DirectProbe (Zhou & Srikumar, NAACL 2021): the geometry of labelled points without training a classifier."""

from hashlib import sha256
from itertools import combinations
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.csgraph import connected_components
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from closerlook.probing._axes import Start
from closerlook.probing.clustering import Counts, GreedyClustering, Refusal
from closerlook.probing.hints import Hints, Support, starts, supports
from closerlook.probing.hulls import LARGEST, SMALLEST, FloatArray, HullDistance
from closerlook.probing.inside import InsideDistances, inside_distances
from closerlook.probing.nearest_hull import nearest_hulls
from closerlook.probing.pairwise import Certificates, IntArray


class DirectProbe(ClassifierMixin, BaseEstimator):
    """Clusters of one label whose convex hulls do not meet, the distances between them, and their proofs.

    Starting from one cluster per example, the two closest clusters of one label (by centroid distance) are
    merged unless the merged hull meets the hull of a cluster with another label. One cluster per label means
    that every two labels are linearly separable. Distances are between hulls: the width of the margin of a
    hard-margin linear SVM. Points are handled in float64 after centring. The answer does not depend on
    `n_jobs`, on the threads of BLAS, or on the names of the labels.

    Deviations from the released code: no cluster is dropped and a missing value is NaN, never 0 (see
    `min_cluster_size`); hulls that are close are solved to the end instead of being called overlapping.

    Args:
        min_cluster_size: clusters with fewer examples keep their id but are left out of the distances
            (NaN). The released code leaves out clusters of 5 points or fewer: 6 reproduces it.
        tol: duality gap of the distances, relative to each.
        n_jobs: threads, in joblib's convention (None is 1 unless a joblib context says otherwise).

    Attributes:
        labels_: (n_samples,) cluster of each example, numbered by their first examples.
        n_clusters_: number of clusters.
        cluster_labels_: (n_clusters_,) label of each cluster.
        classes_: (n_classes,) sorted labels.
        is_linear_: whether there is one cluster per label.
        contradictions_: tuple of index arrays, the groups of identical examples with different labels.
        refusals_: tuple of `Refusal`, why pairs of clusters were not merged (common points, by example).
        solve_counts_: `Counts`: exact solves, cheap verdicts, refusals, merges.
        n_features_in_: number of features.

    The following are computed on first use where labels have several clusters (`certificates_`,
    `cluster_distances_`, `label_distances_`, `min_distances_`, `inside_`); see their own documentation.
    """

    def __init__(self, min_cluster_size: int = 1, *, tol: float = 1e-6, n_jobs: int | None = None) -> None:
        self.min_cluster_size = min_cluster_size
        self.tol = tol
        self.n_jobs = n_jobs

    def fit(self, X: ArrayLike, y: ArrayLike, hints: Hints | None = None) -> Self:
        """Cluster the examples.

        Args:
            X: (n_samples, n_features) points, any real type.
            y: (n_samples,) labels.
            hints: `hints_` of a probe of the same examples somewhere else in space, such as the next snapshot. They
                save time; clusters do not depend on them, and distances not beyond `tol`.

        Returns:
            The fitted probe.

        Raises:
            ValueError: if X is empty, not finite or of extreme scale, the lengths differ, y is continuous, or
                `min_cluster_size` is below 1.
            ArithmeticError: if the solver can decide a pair of hulls neither way (a verdict is never guessed).
        """
        if self.min_cluster_size < 1:
            msg = f"Expected min_cluster_size >= 1, got {self.min_cluster_size}."
            raise ValueError(msg)
        points, names = validate_data(self, X, y, dtype=np.float64, order="C", copy=True)
        check_classification_targets(names)
        self.classes_, codes = np.unique(names, return_inverse=True)
        self.contradictions_ = _contradictions(points, codes)
        self._mean = points.mean(axis=0)
        points -= self._mean
        largest = float(np.abs(points).max())
        if largest != 0 and not SMALLEST < largest < LARGEST:
            msg = (
                f"Expected features between {SMALLEST:g} and {LARGEST:g} around their mean, got {largest:g}: rescale X."
            )
            raise ValueError(msg)
        self._X, self._hints = points, hints or Hints()
        self.solve_counts_ = Counts()
        self._measured: Certificates | None = None
        roots = self._cluster(codes)
        firsts, self.labels_ = np.unique(roots, return_inverse=True)
        self.n_clusters_ = len(firsts)
        self.cluster_labels_ = self.classes_[codes[firsts]]
        self.is_linear_ = self.n_clusters_ == len(self.classes_)
        self._sets = [np.flatnonzero(self.labels_ == k) for k in range(self.n_clusters_)]
        return self

    def _cluster(self, codes: IntArray) -> IntArray:
        """First example of each example's cluster. Looks at whole labels first: most spaces need no more."""
        _, first, group = np.unique(codes, return_index=True, return_inverse=True)
        rank = np.argsort(np.argsort(first))
        groups = rank[group]  # labels numbered by first example: their names must not matter
        roots = np.sort(first)[groups]
        sets = [np.flatnonzero(groups == k) for k in range(len(first))]
        self._whole_sets, begin = sets, self._starts(sets, self._hints.labels)
        self._whole = Certificates(self._X, sets, _all_pairs(len(sets)), self.tol, self.n_jobs, starts=begin)
        self.solve_counts_.exact_solves += len(self._whole)
        conflict = np.zeros((len(sets), len(sets)), dtype=np.bool_)
        for i, j in self._whole:
            conflict[i, j] = conflict[j, i] = self._whole.meets(i, j)
        frozen = np.zeros(len(codes), dtype=np.bool_)
        frozen[[i for rows in self.contradictions_ for i in rows]] = True
        refusals: list[Refusal] = []
        _, component = connected_components(conflict, directed=False)
        for part in np.unique(component):
            members = np.flatnonzero(component == part)
            if len(members) > 1:
                rows = np.flatnonzero(np.isin(groups, members))
                local = np.searchsorted(members, groups[rows])
                greedy = GreedyClustering(
                    self._X[rows], local, conflict[np.ix_(members, members)], frozen[rows], self.solve_counts_
                )
                roots[rows] = rows[greedy.run()]
                refusals += [refusal.of(rows) for refusal in greedy.refusals]
        self.refusals_ = tuple(refusals)
        return roots

    @property
    def certificates_(self) -> Certificates:
        """Distance and proof of every pair of clusters with different labels, by (i, j)."""
        check_is_fitted(self)
        if self._measured is None:
            if self.is_linear_ and self.min_cluster_size == 1:
                self._measured = self._whole
            else:
                begin = self._starts(self._sets, self._hints.labels + self._hints.clusters)
                self._measured = Certificates(
                    self._X, self._sets, self._measured_pairs(), self.tol, self.n_jobs, self._unsplit(), begin
                )
        return self._measured

    def _starts(self, sets: list[IntArray], hints: tuple[Support, ...]) -> dict[tuple[int, int], Start]:
        found = starts(sets, self._X.shape, hints)
        self.solve_counts_.hints_used += len(found)
        self.solve_counts_.hints_rejected += len(hints) - len(found)
        return found

    @property
    def hints_(self) -> Hints:
        """What a fit of the same examples somewhere else in space can start from; see `fit`."""
        check_is_fitted(self)
        clusters = () if self._measured in (None, self._whole) else supports(self._sets, self._measured.stops)
        return Hints(supports(self._whole_sets, self._whole.stops), clusters)

    @property
    def label_certificates_(self) -> Certificates:
        """Distance and proof of every pair of whole labels, by (i, j): labels numbered by their first examples."""
        check_is_fitted(self)
        return self._whole

    def _measured_pairs(self) -> IntArray:
        pairs = _all_pairs(self.n_clusters_)
        large = np.array([len(s) >= self.min_cluster_size for s in self._sets])
        apart = self.cluster_labels_[pairs[:, 0]] != self.cluster_labels_[pairs[:, 1]]
        return pairs[apart & large[pairs].all(axis=1)]

    def _unsplit(self) -> dict[tuple[int, int], HullDistance]:
        """Answers for whole labels that are clusters too."""
        names, sizes = np.unique(self.cluster_labels_, return_counts=True)
        first = {name: k for k, name in reversed(list(enumerate(self.cluster_labels_)))}
        order = sorted(names, key=lambda name: first[name])
        whole = {at: first[name] for at, name in enumerate(order) if sizes[np.searchsorted(names, name)] == 1}
        return {(whole[i], whole[j]): self._whole[i, j] for i, j in self._whole if i in whole and j in whole}

    @property
    def cluster_distances_(self) -> FloatArray:
        """Hull distances (n_clusters_, n_clusters_): 0 on the diagonal, NaN between clusters of one label."""
        distances = np.full((self.n_clusters_,) * 2, np.nan)
        np.fill_diagonal(distances, 0.0)
        certificates = self.certificates_
        pairs = np.array(list(certificates), dtype=np.int64).reshape(-1, 2)
        distances[pairs[:, 0], pairs[:, 1]] = distances[pairs[:, 1], pairs[:, 0]] = certificates.distances
        return distances

    @property
    def label_distances_(self) -> FloatArray:
        """Distances of labels (n_classes, n_classes): mean over the pairs of their clusters.

        Symmetric, 0 on the diagonal; NaN where a label has no cluster of `min_cluster_size`, or where a
        distance was not decided.
        """
        certificates = self.certificates_
        pairs = np.array(list(certificates), dtype=np.int64).reshape(-1, 2)
        codes = np.searchsorted(self.classes_, self.cluster_labels_)[pairs]
        shape = (len(self.classes_),) * 2
        total, count = np.zeros(shape), np.zeros(shape)
        np.add.at(total, (codes[:, 0], codes[:, 1]), certificates.distances)
        np.add.at(count, (codes[:, 0], codes[:, 1]), 1)
        total, count = total + total.T, count + count.T
        distances = np.divide(total, count, out=np.full(shape, np.nan), where=count > 0)
        np.fill_diagonal(distances, 0.0)
        return distances

    @property
    def min_distances_(self) -> FloatArray:
        """Distance of each label to the nearest other label (n_classes,); NaN if it has none."""
        others = self.label_distances_
        np.fill_diagonal(others, np.nan)
        known = ~np.isnan(others)
        return np.where(known.any(axis=1), np.min(others, axis=1, where=known, initial=np.inf), np.nan)

    @property
    def inside_(self) -> InsideDistances:
        """Mean and largest distance inside each cluster and label; see `inside_distances`."""
        check_is_fitted(self)
        return inside_distances(self._X, self.labels_, self.cluster_labels_, min_cluster_size=self.min_cluster_size)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Label of the nearest hull; of equally near hulls the one with the first training example.

        All clusters take part, whatever `min_cluster_size` is.

        Args:
            X: (n_queries, n_features) points.

        Returns:
            (n_queries,) labels.
        """
        check_is_fitted(self)
        points = validate_data(self, X, dtype=np.float64, order="C", reset=False)
        nearest, _ = nearest_hulls(self._X, self._sets, points - self._mean, tol=self.tol, n_jobs=self.n_jobs)
        return self.cluster_labels_[nearest]


def _all_pairs(n: int) -> IntArray:
    return np.array(list(combinations(range(n), 2)), dtype=np.int64).reshape(-1, 2)


def _contradictions(X: FloatArray, codes: IntArray) -> tuple[IntArray, ...]:
    """Groups of identical rows that carry more than one label."""
    groups: dict[bytes, list[int]] = {}
    for i, row in enumerate(X):  # a digest a row: no second copy of the points
        groups.setdefault(sha256((row + 0.0).tobytes()).digest(), []).append(i)  # -0.0 and 0.0 are the same point
    found = [np.array(rows) for rows in groups.values() if len(rows) > 1 and len(np.unique(codes[rows])) > 1]
    return tuple(sorted(found, key=lambda rows: int(rows[0])))
