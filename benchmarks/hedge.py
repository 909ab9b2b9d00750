"""The Kalman hedge beside pykalman, filterpy and statsmodels."""

import time

import numpy as np
import statsmodels.api as sm
from pykalman import KalmanFilter

from analytics.kalman import kalman_filter
from benchmarks import peers
from benchmarks.measure import by_turns
from benchmarks.report import Cell, Sample, Section, digits, ratio
from benchmarks.rolling import walks

STATE_VAR, OBS_VAR = 1e-4, 1.0


class Recursive(sm.tsa.statespace.MLEModel):  # type: ignore[misc]
    """Intercept and slope as a random walk, in statsmodels' state space."""

    def __init__(self, y: np.ndarray, x: np.ndarray) -> None:
        super().__init__(y - y[0], k_states=2, initialization="known",
                         initial_state=np.zeros(2), initial_state_cov=1e6 * np.eye(2))  # fmt: skip
        self["design"] = np.stack([np.ones(len(y)), x - x[0]])[None]
        self["transition"] = self["selection"] = np.eye(2)
        self["state_cov"], self["obs_cov"] = STATE_VAR * np.eye(2), np.array([[OBS_VAR]])


def _pykalman(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    design = np.stack([np.ones(len(y)), x - x[0]], axis=1)[:, None, :]
    model = KalmanFilter(
        transition_matrices=np.eye(2),
        observation_matrices=design,
        transition_covariance=STATE_VAR * np.eye(2),
        observation_covariance=[[OBS_VAR]],
        initial_state_mean=np.zeros(2),
        initial_state_covariance=1e6 * np.eye(2),
    )
    mean, _ = model.filter((y - y[0])[:, None])
    slopes: np.ndarray = mean[:, 1]
    return slopes


def run(quick: bool) -> Section:
    """Filter the same prices with each."""
    rows, few, repeats = (50_000, 500, 2) if quick else (1_000_000, 3000, 5)
    y, x = walks(rows, sd=1.0)
    head_y, head_x = y[:few], x[:few]
    model = Recursive(head_y, head_x)
    mine = by_turns(
        {"": lambda: kalman_filter(y, x, state_var=STATE_VAR, obs_var=OBS_VAR)},
        repeats,
        clock=time.process_time,
    )[""].scaled(1e9 / rows, "ns")
    slow = by_turns(
        {
            "pykalman": lambda: _pykalman(head_y, head_x),
            "statsmodels": lambda: model.ssm.filter(),
        },
        min(repeats, 3),
        clock=time.process_time,
    )
    columns = {"y": head_y, "x": head_x, "window": 0}
    filterpy = peers.on_columns("filterpy", "peers_rolling.py", columns, "filterpy", 3)["kalman"]
    ours = kalman_filter(head_y, head_x, state_var=STATE_VAR, obs_var=OBS_VAR).beta_filtered
    slopes = {
        "pykalman": _pykalman(head_y, head_x)[-100:],
        "statsmodels": model.ssm.filter().filtered_state[1][-100:],
        "filterpy": np.array(filterpy["last"]),
    }
    times = {name: found.scaled(1e9 / few, "ns") for name, found in slow.items()}
    times["filterpy"] = Sample(tuple(filterpy["seconds"]), "s").scaled(1e9 / few, "ns")
    rows_out: list[list[Cell]] = [
        [
            name,
            times[name],
            mine,
            ratio(times[name], mine, target=5000 if name == "pykalman" else None),
            digits(float(np.max(np.abs(slopes[name] - ours[-100:])))),
        ]
        for name in ("pykalman", "filterpy", "statsmodels")
    ]
    return Section(
        title="Kalman hedge",
        sentence=(
            f"Intercept and slope as a random walk, filtered mean, covariance and likelihood: here "
            f"over {rows:,} bars, the peers over the first {few:,}; CPU ns a bar."
        ),
        columns=("peer", "peer's time", "here", "ratio", "difference of the slope"),
        rows=rows_out,
        notes=("The difference is the greatest of the last 100 bars' (≤ 1e-9 to pykalman).",),
        versions={"filterpy": peers.version("filterpy")},
    )
