"""The real app in a process of its own, for tests in Chromium: started, stopped, started again."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
READY_S = 180.0  # the very first start compiles the numbers


class Server:
    """`streamlit run app.py` on a port, over the simulated exchange unless `settings` say else."""

    def __init__(self, folder: Path, port: int, **settings: str) -> None:
        """Nothing runs yet. The database is in `folder`."""
        self.url = f"http://127.0.0.1:{port}"
        self.folder, self._port, self._settings = folder, port, settings
        self._log = folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until the feed is live and the numbers are there."""
        environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PAIRS_")},
            "PAIRS_VENUE": "simulated",
            "PAIRS_DATABASE_URL": f"sqlite:///{self.folder}/pairs.db",
            **self._settings,
        }
        command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, str(self._port)], cwd=ROOT, env=environ, stdout=log, stderr=log
            )
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            try:
                health = httpx.get(f"{self.url}/api/health", timeout=2).json()["status"]
                pair = httpx.get(f"{self.url}/api/pair", timeout=5).json()["status"]
                if (health, pair) == ("ok", "ready"):
                    return
            except (httpx.HTTPError, KeyError, ValueError):
                pass
            if self._process.poll() is not None:
                break
            time.sleep(0.1)
        raise AssertionError(f"the server did not get ready:\n{self.log()[-3000:]}")

    def stop(self) -> None:
        """Stop as Ctrl-C does; may be repeated."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)
        self._process = None

    def log(self) -> str:
        """What the server has written."""
        return self._log.read_text(encoding="utf-8", errors="replace")
