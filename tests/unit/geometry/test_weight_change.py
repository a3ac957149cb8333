"""The change of one matrix against numpy, torch, peft's merged LoRA, and planted updates of known rank."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import scipy.linalg
import torch

from closerlook.geometry.model_change import matrix_spectra, model_change
from closerlook.geometry.validation import UndefinedMeasureError
from closerlook.geometry.weight_change import (
    distance,
    gaussian_ranks,
    output_directions,
    precision_of,
    rounded,
    singular_values,
    spectra,
)

SHAPES = ((24, 24), (48, 20), (20, 48), (60, 12), (12, 90))


def pair(shape: tuple[int, int], scale: float = 0.3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    before = random.standard_normal(shape).astype(np.float32)
    return before, before + scale * random.standard_normal(shape).astype(np.float32)


def planted(shape: tuple[int, int], rank: int, scale: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    before = (random.standard_normal(shape) / 5).astype(np.float32)
    update = random.standard_normal((shape[0], rank)) @ random.standard_normal((rank, shape[1]))
    return before, (before + scale * update / np.linalg.norm(update, 2)).astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_directions_equal_torch(shape: tuple[int, int]) -> None:
    _, after = pair(shape)
    U, S, _ = torch.linalg.svd(torch.from_numpy(after).double(), full_matrices=False)
    np.testing.assert_allclose(singular_values(after.astype(np.float64)), S, rtol=1e-12)
    vectors, values = output_directions(after)
    np.testing.assert_allclose(values, S, rtol=1e-12)
    np.testing.assert_allclose(np.abs((vectors * U.numpy()).sum(axis=0)), 1, rtol=1e-10)


@pytest.mark.parametrize("shape", SHAPES)
def test_measures_equal_torch(shape: tuple[int, int]) -> None:
    before, after = (torch.from_numpy(one).double() for one in pair(shape))
    found = spectra(*pair(shape), k=5)
    D, (U0, S0, _), (U1, _, _) = (
        after - before,
        *(torch.linalg.svd(one, full_matrices=False) for one in (before, after)),
    )
    S = torch.linalg.svdvals(D)
    assert found.spectral == pytest.approx(float(torch.linalg.matrix_norm(D, 2) / S0[0]), rel=1e-12)
    assert found.stable_rank == pytest.approx(float((S**2).sum() / S[0] ** 2), rel=1e-12)
    entropy = torch.distributions.Categorical(probs=S / S.sum()).entropy()
    assert found.effective_rank == pytest.approx(float(entropy.exp()), rel=1e-6)
    assert found.rank == int(torch.linalg.matrix_rank(D)) == min(shape)
    angles = scipy.linalg.subspace_angles(U0[:, :5].numpy(), U1[:, :5].numpy())
    assert found.leading.angle == pytest.approx(angles.max(), rel=1e-9)
    assert found.leading.overlap == pytest.approx(np.mean(np.cos(angles) ** 2), rel=1e-9)
    assert found.leading.intruders == int(((U1.T @ U0).abs().max(dim=1).values[:5] < 0.5).sum())


@pytest.mark.parametrize("rank", [1, 2, 5])
def test_a_planted_update_has_its_rank_and_its_intruders(rank: int) -> None:
    found = spectra(*planted((64, 48), rank, scale=40.0))
    assert found.rank == rank
    assert 1 <= found.stable_rank <= found.effective_rank + 1e-3 <= rank + 2e-3
    assert found.leading.intruders == rank  # far above all that was there, in directions of its own
    assert found.noise.intruders > rank  # as much noise changes every direction
    small = spectra(*planted((64, 48), rank, scale=1e-3))
    assert (small.rank, small.leading.intruders) == (rank, 0)
    assert small.leading.overlap > 0.999


def test_distance_adds_up() -> None:
    (a, b), (c, d) = pair((6, 5)), pair((7,), seed=1)  # type: ignore[arg-type]
    both = distance(a, b) + distance(c, d)
    whole = distance(np.concatenate([a.ravel(), c]), np.concatenate([b.ravel(), d]))
    for name in ("relative", "cosine", "size", "relative_rounding"):
        assert getattr(both, name) == pytest.approx(getattr(whole, name), rel=1e-12)
    assert distance(a, b).relative == pytest.approx(np.linalg.norm(b - a) / np.linalg.norm(a), rel=1e-6)
    flat = [torch.from_numpy(one).double().flatten() for one in (a, b)]
    assert distance(a, b).cosine == pytest.approx(float(torch.nn.functional.cosine_similarity(*flat, dim=0)), rel=1e-12)


def test_degenerate_weights() -> None:
    zero, one = np.zeros(4, np.float32), np.ones(4, np.float32)
    assert distance(one, one).relative == 0
    assert distance(one, one).cosine == 1
    assert math.isnan(distance(zero, one).relative)
    assert math.isnan(distance(zero, one).cosine)
    with pytest.raises(ValueError, match="shapes differ"):
        distance(one, np.ones(5, np.float32))
    square = np.ones((4, 4), np.float32)
    same = matrix_spectra(square, square)
    assert (same.spectral, same.rank, same.leading.overlap, same.leading.intruders) == (0, 0, 1, 0)
    assert math.isnan(same.stable_rank)
    for before, after, why in (
        (0 * square, square, "all of it is 0"),
        (one, one + 1, "no matrix"),
    ):
        with pytest.raises(UndefinedMeasureError, match=why):
            matrix_spectra(before, after)


def test_number_types_are_those_of_torch() -> None:
    values = np.random.default_rng(0).standard_normal((50, 40)).astype(np.float32)
    for name in ("bfloat16", "float16"):
        as_torch = torch.from_numpy(values).to(getattr(torch, name)).float().numpy()
        np.testing.assert_array_equal(rounded(values, name), as_torch)
        assert precision_of(as_torch) == name
        found = distance(values, as_torch)
        assert 0 < found.relative == pytest.approx(found.relative_rounding)
        assert spectra(values, as_torch).rank == 0
    assert precision_of(values) == "float32"
    assert distance(values, values * 1.01).relative_rounding == 0


def test_a_change_without_structure_has_the_ranks_of_a_gaussian() -> None:
    for shape in ((80, 80), (200, 40), (40, 200)):
        random = np.random.default_rng(7).standard_normal(shape)
        values = np.linalg.svd(random, compute_uv=False)
        share = values / values.sum()
        stable, effective = gaussian_ranks(*shape)
        assert stable == pytest.approx(np.sum(values**2) / values[0] ** 2, rel=0.15)
        assert effective == pytest.approx(np.exp(-np.sum(share * np.log(share))), rel=0.02)


def test_lora_merged_by_peft_has_its_rank_and_as_many_intruders_as_peft_finds() -> None:
    """peft's own search for intruder dimensions is the oracle of their number."""
    peft = pytest.importorskip("peft")
    from peft.tuners.lora.intruders import reduce_intruder_dimension

    torch.manual_seed(0)
    base = torch.nn.Sequential(torch.nn.Linear(40, 32), torch.nn.Linear(32, 48))
    before = {name: value.clone() for name, value in base.state_dict().items()}
    config = peft.LoraConfig(r=3, lora_alpha=6, target_modules=["0", "1"], init_lora_weights=False)
    model = peft.get_peft_model(base, config)
    for name, value in model.named_parameters():
        if "lora_B" in name:
            value.data.mul_(4)
    said: list[str] = []
    reduce_intruder_dimension(copy.deepcopy(model), logging_sink=said.append)
    merged = model.merge_and_unload().state_dict()
    for i, line in enumerate(said[:2]):
        name = f"{i}.weight"
        found = spectra(before[name].numpy(), merged[name].numpy())
        assert found.rank == 3
        assert found.leading.intruders == (0 if "No intruders" in line else int(line.rsplit(" ", 1)[1])), line
    assert any("Intruders" in line and "No" not in line for line in said)


def test_two_mappings_are_compared_by_block_and_label() -> None:
    random = np.random.default_rng(0)
    names = (
        "embed.weight",
        "layers.0.fc1.weight",
        "layers.0.fc1.bias",
        "layers.1.fc1.weight",
        "norm.weight",
    )
    before = {name: random.standard_normal((4, 4) if "bias" not in name else 4).astype(np.float32) for name in names}
    after = before | {"layers.1.fc1.weight": before["layers.1.fc1.weight"] + 1, "more": np.ones(1)}
    found = model_change(before, after)
    assert found.blocks == (0, 1, 2)
    assert found.unmatched == ("more",)
    assert [key for key, one in found.distances.items() if one.change] == [(2, "mlp.up")]
    assert found.share(found.distances[2, "mlp.up"]) == 1
    assert found.matrices(1) == {"mlp.up": "layers.0.fc1.weight"}
    assert math.isnan(model_change(before, before).share(found.total))
    with pytest.raises(UndefinedMeasureError, match=r"norm\.weight has another shape"):
        model_change(before, before | {"norm.weight": np.ones(3)})
    with pytest.raises(UndefinedMeasureError, match="no weight in common"):
        model_change(before, {"x": np.ones(3)})
    with pytest.raises(UndefinedMeasureError, match=r"norm\.weight holds NaN"):
        model_change(before, before | {"norm.weight": np.full((4, 4), np.nan)})
