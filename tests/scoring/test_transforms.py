from __future__ import annotations

import numpy as np
import pytest

from shortvox.scoring.transforms import fit_chain, transform, unit_length


def cloud(count: int = 4000, dim: int = 5) -> np.ndarray:
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(dim, dim)) + 2 * np.eye(dim)
    return rng.normal(size=(count, dim)) @ mixing + rng.normal(size=dim)


def test_centring_takes_the_mean_away() -> None:
    vectors = cloud()
    np.testing.assert_allclose(transform["centring"](vectors)(vectors).mean(axis=0), 0, atol=1e-9)


def test_whitening_makes_the_covariance_the_identity() -> None:
    vectors = cloud()
    whitened = transform["whitening"](vectors)(vectors)
    np.testing.assert_allclose(np.cov(whitened.T, bias=True), np.eye(5), atol=1e-6)


def test_directions_without_variance_stay_finite() -> None:
    few = cloud(3)
    assert np.abs(fit_chain(("centring", "whitening"), few)(cloud())).max() <= 1
    alone = fit_chain(("centring", "whitening"), np.ones((4, 5)))(np.ones((2, 5)))
    assert np.isfinite(alone).all()


def test_a_chain_fits_each_on_what_came_before_and_ends_at_unit_length() -> None:
    vectors, other = cloud(), cloud(10)[::-1]
    centre = transform["centring"](vectors)
    whiten = transform["whitening"](centre(vectors))
    found = fit_chain(("centring", "whitening"), vectors)(other)
    np.testing.assert_allclose(found, unit_length(whiten(centre(other))), rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-6)
    assert found.dtype == np.float32


def test_no_transform_changes_nothing() -> None:
    vectors = cloud(3)
    assert fit_chain((), vectors)(vectors) is vectors
    with pytest.raises(Exception, match="did you mean 'whitening'"):
        fit_chain(("whitning",), vectors)
