"""A newcomer's first minute, timed: README's second command, until the pair is live; then Ctrl-C.

Run with the virtual environment's `streamlit` on PATH. The exchange cannot be reached where this
runs, so the simulated one must have taken over by itself.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

COMMAND = ["streamlit", "run", "app.py"]
READY_S = 180.0  # the kernels are compiled once, and a busy machine takes its time
STOP_S = 15.0
PAGE = "http://127.0.0.1:8501"
# What a normal run may say above INFO: that the exchange is out of reach, which is true here.
EXPECTED = ("cannot be reached",)


def ask(path: str) -> Any:
    """Return the JSON answer, or None while there is none."""
    try:
        with urllib.request.urlopen(f"{PAGE}{path}", timeout=5) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return json.loads(error.read())
    except (OSError, ValueError):
        return None


def wait(what: str, is_done: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    began = time.monotonic()
    while not is_done():
        if process.poll() is not None:
            sys.exit(f"the app ended with {process.returncode} before: {what}")
        if time.monotonic() - began > READY_S:
            sys.exit(f"not within {READY_S:g} s: {what}")
        time.sleep(0.2)
    print(f"{time.monotonic() - STARTED:6.1f} s  {what}", flush=True)


def is_healthy() -> bool:
    health = ask("/api/health") or {}
    return bool(health.get("status") == "ok" and health.get("simulated") is True)


def is_warm() -> bool:
    pair = ask("/api/pair") or {}
    return bool(pair.get("status") == "ready" and pair.get("zscore") is not None)


def is_moving() -> bool:
    one = ask("/api/health")["feed"]["symbols"]["BTCUSDT"]["trades"]
    time.sleep(2)
    return bool(ask("/api/health")["feed"]["symbols"]["BTCUSDT"]["trades"] > one)


def has_page() -> bool:
    with urllib.request.urlopen(PAGE, timeout=5) as answer:
        return answer.status == 200 and b"<html" in answer.read().lower()


def check_log(text: str) -> None:
    print(text)
    bad = [
        line
        for line in text.splitlines()
        if re.search(r"Traceback|\b(WARNING|ERROR|CRITICAL)\b|Warning:", line)
        and not any(part in line for part in EXPECTED)
    ]
    if bad:
        sys.exit("a normal run's log must hold no warning, but:\n" + "\n".join(bad))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        environ = {k: v for k, v in os.environ.items() if not k.startswith(("PAIRS_", "STREAMLIT"))}
        environ["PAIRS_DATABASE_URL"] = f"sqlite:///{folder}/data/pairs.db"
        with log.open("wb") as out:
            process = subprocess.Popen(
                COMMAND, env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
            try:
                wait("the page answers", lambda: ask("/api/health") is not None, process)
                wait("health is ok, simulated", is_healthy, process)
                wait("the 1m pair is warm", is_warm, process)
                wait("trades arrive", is_moving, process)
                wait("the page is HTML", has_page, process)
                began = time.monotonic()
                process.send_signal(signal.SIGINT)
                process.wait(STOP_S)
                print(f"{time.monotonic() - began:6.1f} s  to stop, code {process.returncode}")
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
                text = log.read_text(errors="replace")
                check_log(text)
        if " stopped" not in text:
            sys.exit("the app did not say that it stopped")


STARTED = time.monotonic()
if __name__ == "__main__":
    main()
