"""Hull distances against known gaps, a QP solver, an LP solver, and properties that must hold."""

import warnings

import numpy as np
import pytest
from hull_oracles import boxes, lp_meets, qp_distance, rotation, simplices
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.exceptions import ConvergenceWarning

from closerlook.probing import _active_set, hull_distance


@pytest.mark.parametrize("gap", [3.0, 1e-2, 1e-6, 1e-9])
@pytest.mark.parametrize("d", [1, 2, 3, 5, 8])
def test_boxes_that_are_apart(d, gap):
    A, B = boxes(d, gap)
    turn = rotation(d, np.random.default_rng(d))
    for a, b in ((A, B), (A @ turn, B @ turn)):
        result = hull_distance(a, b)
        assert result.distance == pytest.approx(gap, rel=1.1e-6, abs=1e-15)
        assert result.gap <= 1e-6 * gap
        assert result.verify(a, b)


@pytest.mark.parametrize("gap", [1.0, 1e-3, 1e-7])
@pytest.mark.parametrize("d", [2, 10, 50, 200, 800])
def test_simplices_that_are_apart(d, gap):
    A, B = simplices(d, gap)
    turn = rotation(d, np.random.default_rng(d))
    result = hull_distance(A @ turn, B @ turn)
    assert result.distance == pytest.approx(gap, rel=1.1e-6, abs=1e-14)
    assert result.converged
    assert result.verify(A @ turn, B @ turn)


@pytest.mark.parametrize("gap", [0.0, -1e-3, -0.4])
@pytest.mark.parametrize(("shape", "d"), [(boxes, 2), (boxes, 6), (simplices, 2), (simplices, 60), (simplices, 400)])
def test_hulls_that_touch_or_overlap(shape, d, gap):
    A, B = shape(d, gap)
    turn = rotation(d, np.random.default_rng(d))
    result = hull_distance(A @ turn, B @ turn)
    assert result.meets
    assert (result.distance, result.gap, result.normal) == (0.0, 0.0, None)
    assert result.verify(A @ turn, B @ turn)
    assert all(w.min() >= 0 and w.sum() == pytest.approx(1) for w in result.weights)


@pytest.mark.parametrize("seed", range(12))
def test_random_hulls_against_the_qp_and_lp_solvers(seed):
    rng = np.random.default_rng(seed)
    for shift in (0.0, 0.3, 1.0, 4.0):
        d = int(rng.integers(1, 30))
        A = rng.normal(size=(rng.integers(1, 40), d))
        B = rng.normal(size=(rng.integers(1, 40), d)) + shift
        result = hull_distance(A, B)
        assert result.meets == lp_meets(A, B)
        assert result.distance == pytest.approx(qp_distance(A, B), rel=1e-5, abs=3e-6)
        assert result.verify(A, B)


@pytest.mark.parametrize("gap", [-1e-6, 1e-6, -1e-3, 1e-3])
def test_nearly_touching_hulls_against_the_lp_solver(gap):
    rng = np.random.default_rng(3)
    for d in (2, 7, 20):
        A, B = rng.normal(size=(50, d)), rng.normal(size=(60, d))
        normal = rng.normal(size=d)
        normal /= np.linalg.norm(normal)
        B = B - np.outer((B @ normal).min() - (A @ normal).max() - gap, normal)
        # The extreme points face each other, so that a positive gap is the distance.
        B = B + (A[(A @ normal).argmax()] - B[(B @ normal).argmin()]) @ (np.eye(d) - np.outer(normal, normal))
        result = hull_distance(A, B)
        assert result.meets == lp_meets(A, B)
        assert result.verify(A, B)
        if d == 2 or gap > 0:
            assert result.meets == (gap < 0)
        if gap > 0:
            assert result.distance == pytest.approx(gap, rel=2e-6)


@pytest.mark.parametrize(
    ("A", "B", "distance"),
    [
        ([[1.0, 2.0]], [[4.0, 6.0]], 5.0),
        ([[1.0, 2.0]], [[1.0, 2.0]], 0.0),
        ([[0.0]], [[1.0], [3.0]], 1.0),
        ([[0.0], [2.0]], [[1.0]], 0.0),
        ([[0, 0], [0, 0], [0, 0]], [[0, 1], [0, 1]], 1.0),
        ([[0, 0], [1, 1], [2, 2]], [[3, 3], [4, 4]], np.sqrt(2)),
        ([[0, 0], [2, 2]], [[0, 2], [2, 0]], 0.0),
        ([[0, 0], [4, 0]], [[1, 1], [2, 1], [3, 5]], 1.0),
        ([[0, 0], [4, 0]], [[4, 0], [8, 0]], 0.0),
        ([[7, 7], [7, 7]], [[7, 7]], 0.0),
    ],
)
def test_degenerate_sets(A, B, distance):
    result = hull_distance(A, B)
    assert result.distance == pytest.approx(distance, rel=1e-12)
    assert result.meets == (distance == 0)
    assert result.verify(A, B)


def test_points_far_from_the_origin_keep_their_distance():
    A, B = boxes(4, 1e-3)
    far = np.array([1e6, -3e6, 2e6, 5e5])
    assert hull_distance(A + far, B + far).distance == pytest.approx(1e-3, rel=1e-5)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int64, bool])
def test_other_types_are_accepted(dtype):
    A, B = np.array([[0, 0], [1, 0]], dtype=dtype), np.array([[0, 1], [1, 1]], dtype=dtype)
    assert hull_distance(A, B).distance == pytest.approx(1.0)


def test_an_unfinished_answer_says_so_and_is_no_verdict():
    rng = np.random.default_rng(0)
    A, B = rng.normal(size=(80, 20)), rng.normal(size=(80, 20)) + 1.5
    true = hull_distance(A, B).distance
    with pytest.warns(ConvergenceWarning, match="not converged after 3 steps: it lies between"):
        result = hull_distance(A, B, max_iter=3)
    assert not result.converged
    assert result.bound <= true <= result.bound + result.gap
    assert result.distance != 0


def test_an_unfinished_overlap_is_undecided():
    A, B = simplices(30, -0.2)
    with pytest.warns(ConvergenceWarning):
        result = hull_distance(A, B, max_iter=2)
    assert result.verdict == "undecided"
    assert np.isnan(result.distance)
    assert not result.verify(A, B)


def test_a_forged_certificate_is_caught():
    A, B = boxes(3, 0.5)
    result = hull_distance(A, B)
    assert not result.verify(A, B - 0.4)
    assert not result.verify(B, A)
    meeting = hull_distance(A, A + 0.1)
    assert not meeting.verify(A, A + 0.2)


@pytest.mark.parametrize(
    ("A", "B", "message"),
    [
        (np.empty((0, 2)), np.ones((1, 2)), r"Expected A of shape .* got \(0, 2\)"),
        (np.ones((1, 2)), np.ones(2), r"Expected B of shape .* got \(2,\)"),
        (np.ones((1, 2)), np.ones((1, 3)), "got 2 and 3 columns"),
        ([[np.nan, 1.0]], np.ones((1, 2)), "A contains NaN or infinite values"),
        (np.ones((1, 2)), [[np.inf, 1.0]], "B contains NaN or infinite values"),
        (np.ones((1, 2)) * 1j, np.ones((1, 2)), "Expected A to be real"),
    ],
)
def test_bad_input_is_named(A, B, message):
    with pytest.raises(ValueError, match=message):
        hull_distance(A, B)


def clouds(d: int) -> st.SearchStrategy[np.ndarray]:
    values = st.floats(-8, 8).map(lambda v: round(v, 3))
    return hnp.arrays(np.float64, st.tuples(st.integers(1, 9), st.just(d)), elements=values)


pairs_of_clouds = st.integers(1, 5).flatmap(lambda d: st.tuples(clouds(d), clouds(d)))


def distance(A, B):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = hull_distance(A, B)
    assert result.verify(A, B)
    return result.distance


@settings(max_examples=80, deadline=None)
@given(pairs_of_clouds, st.randoms(use_true_random=False))
def test_properties_of_the_distance(pair, random):
    A, B = pair
    rng = np.random.default_rng(random.randrange(2**32))
    base = distance(A, B)
    close = {"rel": 3e-6, "abs": 1e-9}
    assert distance(B, A) == pytest.approx(base, **close)
    assert distance(rng.permutation(A), rng.permutation(B)) == pytest.approx(base, **close)
    turn = rotation(A.shape[1], rng)
    assert distance(A @ turn, B @ turn) == pytest.approx(base, **close)
    shift = rng.normal(size=A.shape[1]) * 10
    assert distance(A + shift, B + shift) == pytest.approx(base, **close)
    assert distance(A * 1e-3, B * 1e-3) == pytest.approx(base * 1e-3, rel=3e-6, abs=1e-12)
    assert distance(np.vstack([A, A[:1], A]), np.vstack([B, B[-1:]])) == pytest.approx(base, **close)
    inner = rng.dirichlet(np.ones(len(A)), size=2) @ A
    assert distance(np.vstack([A, inner]), B) == pytest.approx(base, **close)
    more = distance(np.vstack([A, rng.normal(size=(1, A.shape[1])) * 5]), B)
    assert more <= base * (1 + 2e-6) + 1e-9


@pytest.mark.parametrize("seed", range(3))
def test_hulls_that_fill_a_direction_by_rounding_only_are_decided(seed: int) -> None:
    """Vectors after a layer norm lie in a hyperplane but for float32 rounding: the solver alone runs out of digits."""
    rng = np.random.default_rng(seed)
    d, scale = 48, rng.uniform(0.5, 3.0, size=48)

    def layer_norm(X: np.ndarray) -> np.ndarray:
        X = X - X.mean(axis=1, keepdims=True)
        return (X / X.std(axis=1, keepdims=True) * scale).astype(np.float32)

    A = layer_norm(rng.normal(size=(900, d)))
    B = layer_norm(rng.normal(size=(700, d)) + 0.4)
    answer = hull_distance(A, B)
    assert answer.verdict in ("meet", "disjoint")
    assert answer.verify(A, B)


@pytest.mark.filterwarnings("ignore:Hull distance not converged")  # rounding of the points themselves
@pytest.mark.parametrize(("gap", "rtol"), [(1e-5, 1e-9), (1e-7, 1e-7), (1e-9, 1e-5), (1e-11, 1e-3), (0.0, 0.0)])
@pytest.mark.parametrize(("n", "d"), [(300, 5), (300, 40), (600, 90)])
def test_gap_in_a_direction_that_is_almost_flat(n: int, d: int, gap: float, rtol: float) -> None:
    """Two clouds over one another in all directions but one, in which they lie in parallel hyperplanes."""
    rng = np.random.default_rng(1)
    A, B = rng.normal(size=(n, d)), rng.normal(size=(2 * n, d))
    A[:, -1], B[:, -1] = gap / 2, -gap / 2
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
    A, B = A @ turn, B @ turn
    answer = hull_distance(A, B)
    assert answer.verdict == ("disjoint" if gap else "meet")
    assert answer.distance == pytest.approx(gap, rel=rtol, abs=0.0)
    assert answer.bound <= gap * (1 + rtol)
    assert answer.verify(A, B)


def test_solver_alone_runs_out_of_digits_on_flat_hulls() -> None:
    rng = np.random.default_rng(1)
    A, B = rng.normal(size=(300, 40)), rng.normal(size=(600, 40))
    A[:, -1], B[:, -1] = 5e-10, -5e-10
    turn = np.linalg.qr(rng.normal(size=(40, 40)))[0]
    rows = np.arange(900)
    alone = _active_set.solve_pair(np.vstack([A, B]) @ turn, rows[:300], rows[300:], 1e-6, np.inf, -1)
    assert alone[0] == _active_set.UNDECIDED  # else the tests above do not reach the second look


def test_limited_steps_do_not_look_again() -> None:
    rng = np.random.default_rng(0)
    with pytest.warns(ConvergenceWarning, match="not converged after 2 steps"):
        answer = hull_distance(rng.normal(size=(60, 8)), rng.normal(size=(60, 8)), max_iter=2)
    assert answer.verdict == "undecided"
    assert np.isnan(answer.distance)


@pytest.mark.parametrize("scale", [5e-324 * 2**8, 1e-310, 1e-200, 1e-76, 1e76, 1e150, 1e300])
def test_extreme_scales_are_brought_back(scale: float) -> None:
    A, B = np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([[0.0, 2.0], [1.0, 2.0]])
    apart = hull_distance(A * scale, B * scale)
    assert apart.verdict == "disjoint"
    assert apart.distance == pytest.approx(2 * scale, rel=1e-9, abs=0.0)
    assert apart.converged
    assert hull_distance(A * scale, B * scale - np.array([0.0, 2.0]) * scale).meets


@pytest.mark.parametrize("scale", [1e-310, 1e-80, 1e80, 1e300])
def test_the_estimator_refuses_extreme_scales(scale: float) -> None:
    from closerlook.probing import DirectProbe

    X = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [1.0, 2.0]]) * scale
    with pytest.raises(ValueError, match=r"between 1e-75 and 1e\+75 around their mean.*rescale X"):
        DirectProbe().fit(X, [0, 0, 1, 1])


def test_a_start_of_more_points_than_a_basis_ends():
    """From points of 12 features to the same ones without four that say nothing: the support is too large for them."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(60, 8))
    rows = np.arange(60)
    start = np.concatenate([rows[:8], rows[30:36]])
    weights = np.repeat([1 / 8, 1 / 6], [8, 6])
    found = _active_set.nearest_points(
        X, rows[:30], rows[30:], 1e-6, np.inf, -1, start, weights, *_active_set._COLD[2:]
    )
    assert found[0] == _active_set.MEET
    assert len(found[3]) <= 10


def test_a_point_whose_weight_ends_at_nothing_leaves_the_support():
    """Corners of turned boxes: the last step ends just where a weight becomes 0."""
    A, B = boxes(2, 0.01)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        turn = rotation(2, rng)
        result = hull_distance((A @ turn + 5)[rng.permutation(4)], (B @ turn + 5)[rng.permutation(4)])
        assert result.distance == pytest.approx(0.01, rel=1e-6)
