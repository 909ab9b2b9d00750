"""The simulated exchange in a process of its own, with the handles of `SimulatedExchange`."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parent.parent


class ExchangeProcess:
    """`python -m simulator` on a free port, from its start to `stop`."""

    def __init__(
        self,
        market: str = "spot",
        symbols: Sequence[str] = ("BTCUSDT", "ETHUSDT"),
        *,
        rate: float = 100.0,
        seed: int = 7,
    ) -> None:
        """Return when it listens."""
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "simulator", "--port", "0", "--market", market),
                *("--symbols", ",".join(symbols), "--rate", str(rate), "--seed", str(seed)),
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        said = self._process.stdout.readline().split()
        self.ws_url, self.rest_url = said[-2], said[-1]

    def set_faults(self, **kinds: Any) -> None:
        """Set, replace or clear faults, as `POST /sim/faults` does."""
        answer = httpx.post(f"{self.rest_url}/sim/faults", json=kinds, timeout=10, trust_env=False)
        assert answer.status_code == 200, answer.text

    def stop(self) -> None:
        """End the process; may be repeated."""
        self._process.kill()
        self._process.wait(10)
        if self._process.stdout is not None:
            self._process.stdout.close()
