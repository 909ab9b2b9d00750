"""A server in a process of its own: started for a measurement, watched, ended.

Reads /proc, so it measures on Linux only.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import httpx

ROOT = Path(__file__).resolve().parent.parent
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
KB_PER_MB = 1024


def free_port() -> int:
    """Return a TCP port of loopback nobody listens on at the moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Served:
    """`streamlit run SCRIPT` on a free port, as a context."""

    def __init__(
        self,
        script: str,
        folder: Path,
        *,
        environ: Mapping[str, str] = {},
        ready: str = "/_stcore/health",
    ) -> None:
        """Nothing runs yet.

        Args:
            script: path below the project's root.
            folder: where the log goes.
            environ: what is set besides the environment, from which PAIRS_* is left out.
            ready: path that answers 200 once the page can be asked for.
        """
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / f"{Path(script).stem}-{self.port}.log"
        self._script, self._ready = script, ready
        self._environ = {k: v for k, v in os.environ.items() if not k.startswith("PAIRS_")}
        self._environ.update(environ)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "streamlit", "run", self._script]
        command += ["--server.port", str(self.port), "--server.headless", "true"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=self._environ, stdout=log, stderr=log
            )
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                if httpx.get(self.url + self._ready, timeout=5).status_code == 200:
                    return self
            except httpx.HTTPError:
                pass
            time.sleep(0.2)
        self.__exit__()
        raise RuntimeError(f"{self._script} did not get ready: {self.log.read_text()[-2000:]}")

    def __exit__(self, *_: object) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def pid(self) -> int:
        """The process's number."""
        assert self._process is not None
        return self._process.pid

    def cpu_s(self) -> float:
        """Seconds of CPU used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_S

    def memory_mb(self) -> float:
        """Resident memory."""
        return float(self._status("VmRSS").split()[0]) / KB_PER_MB

    def threads(self) -> int:
        """Threads alive."""
        return int(self._status("Threads"))

    def files(self) -> int:
        """Open file descriptors."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def _status(self, name: str) -> str:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return line.split(":", 1)[1].strip()
        raise KeyError(name)


def app(folder: Path, **settings: str) -> Served:
    """Return the real app over the simulated exchange, with a database in `folder`."""
    environ = {
        "PAIRS_VENUE": "simulated",
        "PAIRS_DATABASE_URL": f"sqlite:///{folder}/pairs.db",
        **settings,
    }
    return Served("app.py", folder, environ=environ, ready="/api/health")
