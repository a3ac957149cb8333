import numpy as np
import pandas as pd
import pytest
from sklearn.tree import DecisionTreeClassifier

from closerlook.geometry.contradictions import row_groups, vector_contradictions


def test_the_known_case():
    X = np.array([[1.0, 2], [3, 4], [1, 2], [5, 6], [-0.0, 0], [0.0, 0]])
    found = vector_contradictions(X, ["a", "a", "b", "b", "c", "c"])
    assert (found.n_groups, found.n_points, found.n_duplicates) == (1, 2, 2)
    assert found.min_clusters == 2 + 3
    assert found.max_accuracy == 5 / 6
    assert found.note == "2 examples in them; at least 5 clusters; accuracy at most 0.8333"
    assert vector_contradictions(X[:2], ["a", "b"]).note == ""


def test_groups_are_those_of_pandas(rng):
    X, y = rng.integers(0, 3, size=(200, 3)).astype(float), rng.integers(0, 4, 200)
    frame = pd.DataFrame(X).assign(y=y)
    expected = [tuple(g.index) for _, g in frame.groupby([0, 1, 2]) if len(set(g.y)) > 1]
    found = vector_contradictions(X, y)
    assert (found.n_groups, found.n_points) == (len(expected), sum(map(len, expected)))
    assert found.n_duplicates == frame.duplicated([0, 1, 2]).sum()


def test_accuracy_bound_is_reached_by_a_full_tree(oracle, rng):
    X, y = rng.integers(0, 3, size=(200, 3)).astype(float), rng.integers(0, 4, 200)
    tree = DecisionTreeClassifier(random_state=0).fit(X, y).score(X, y)
    oracle("contradictions, best accuracy: full decision tree", vector_contradictions(X, y).max_accuracy, tree)


def test_equality_is_bit_for_bit(rng):
    X = rng.normal(size=(4, 5))
    X[1] = X[0] + 1e-9
    assert vector_contradictions(X, [0, 1, 0, 1]).n_groups == 0


def test_row_groups_of_views(rng):
    wide = np.repeat(rng.normal(size=(5, 8)), 2, axis=0)
    assert len(set(row_groups(wide[:, ::2]).tolist())) == 5


def test_refusals():
    with pytest.raises(ValueError, match="one label per row"):
        vector_contradictions([[1.0], [2]], ["x"])
    with pytest.raises(ValueError, match="NaN"):
        vector_contradictions([[np.nan]], ["x"])
