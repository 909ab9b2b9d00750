"""Kernels ready before anybody waits: compiled in processes of their own, then loaded here.

From an empty cache the compiler works for tens of seconds and would hold the interpreter, and with
it the feed and the pages, all that time. So the parts of `analytics.warm` that the first numbers
need fill the cache side by side in two processes, and this process loads the result in about a
second. Until then the engine publishes prices, and says what it is waiting for. What only a
backtest needs comes after.
"""

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from numba import config

from analytics.warm import FIRST, PARTS, warm_kernels

log = logging.getLogger(__name__)

HERE = Path(__file__).parent
TIMEOUT_S = 300


class Warming:
    """Makes the kernels ready in the background. `ready` is set when they are."""

    def __init__(self) -> None:
        self.ready = threading.Event()
        self._stopping = threading.Event()
        self._compilers: list[subprocess.Popen[bytes]] = []
        self._thread = threading.Thread(target=self._run, name="warming", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Give up what is still under way; idempotent."""
        self._stopping.set()
        for process in self._compilers:
            process.kill()
        if self._thread.is_alive():
            self._thread.join(5)

    def _run(self) -> None:
        began = time.monotonic()
        try:
            is_compiled = is_cached()
            for parts in (FIRST, [part for part in PARTS if part not in FIRST]):
                if not is_compiled:
                    self._compile(parts)
                if self._stopping.is_set():
                    return
                warm_kernels(parts)
                if not self.ready.is_set():
                    log.info("numbers ready after %.1f s", time.monotonic() - began)
                    self.ready.set()
        except Exception:
            # Not fatal: a kernel that is not ready compiles when it is first called.
            log.exception("preparing the kernels failed; the first numbers will take longer")
        finally:
            self.ready.set()

    def _compile(self, parts: Sequence[str]) -> None:
        log.info("compiling %s, once for this version and machine", " and ".join(parts))
        command = [sys.executable, "-m", "analytics.warm"]
        self._compilers = [subprocess.Popen([*command, part], cwd=HERE) for part in parts]
        for process in self._compilers:
            process.wait(TIMEOUT_S)


def is_cached(folder: Path = HERE / "analytics", elsewhere: str = "") -> bool:
    """Whether every module of kernels has a compiled index newer than its source.

    The compiler keeps it beside the sources, or in a folder of each package below `elsewhere` (by
    default what NUMBA_CACHE_DIR says).
    """
    root = elsewhere or str(config.CACHE_DIR)
    caches = [*Path(root).glob(f"{folder.name}_*")] if root else [folder / "__pycache__"]
    for source in folder.glob("*.py"):
        if "@njit" not in source.read_text(encoding="utf-8"):
            continue
        found = [index for cache in caches for index in cache.glob(f"{source.stem}.*.nbi")]
        made = [index.stat().st_mtime for index in found]
        if not made or max(made) < source.stat().st_mtime:
            return False
    return True
