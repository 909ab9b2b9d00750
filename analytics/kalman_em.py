"""The Kalman hedge's noise by pykalman's expectation maximisation: a reference, not for live use.

Import this module late: pykalman brings scipy along.
"""

from typing import NamedTuple

import numpy as np
from pykalman import KalmanFilter

from analytics.kalman import PRIOR_VARIANCE
from model import Floats


class EmNoise(NamedTuple):
    """What EM found: the full state noise (2, 2), R, and the log-likelihood under both."""

    state_cov: Floats
    obs_var: float
    loglik: float


def em_noise(
    y: Floats, x: Floats, *, state_var: float, obs_var: float, iterations: int = 5
) -> EmNoise:
    """Return the noise pykalman's EM reaches from a start, in the model of `analytics.kalman`.

    Args:
        y, x: (n,) float64 prices or log prices of one run, all finite.
        state_var, obs_var: Q (times I) and R the search starts from.
        iterations: EM steps, about a second each per 10³ rows.
    Returns:
        EmNoise. Its Q has four free numbers where maximum likelihood here has one ratio.
    """
    model = KalmanFilter(
        transition_matrices=np.eye(2),
        observation_matrices=np.stack([np.ones(len(x)), x - x[0]], axis=1)[:, None, :],
        transition_covariance=state_var * np.eye(2),
        observation_covariance=np.array([[obs_var]]),
        initial_state_mean=np.zeros(2),
        initial_state_covariance=PRIOR_VARIANCE * np.eye(2),
        em_vars=["transition_covariance", "observation_covariance"],
    )
    observed = (y - y[0])[:, None]
    model = model.em(observed, n_iter=iterations)
    return EmNoise(
        np.asarray(model.transition_covariance),
        float(model.observation_covariance[0, 0]),
        float(model.loglikelihood(observed)),
    )
