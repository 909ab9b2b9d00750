"""The peers' environments: each its own, made once, outside the project.

They live in `~/.cache/pairs-bench/NAME` (or `$XDG_CACHE_HOME/pairs-bench/NAME`); delete a folder to
have the newest release installed at the next run. Peers the project itself depends on (pandas,
statsmodels, pykalman, SQLAlchemy) are measured as installed here.
"""

import json
import os
import subprocess
import tempfile
import venv
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
TIMEOUT_S = 240
# Name of the environment → what is installed there.
PACKAGES = {
    "backtesting": ("backtesting",),
    "cryptofeed": ("cryptofeed",),
    "duckdb": ("duckdb", "numpy", "pyarrow"),
    "filterpy": ("filterpy", "numpy", "scipy"),
    "matplotlib": ("matplotlib",),
    "polars": ("polars", "numpy", "pyarrow"),
    "python-binance": ("python-binance",),
    "vectorbt": ("vectorbt",),
    "websocket-client": ("websocket-client",),
}


def folder(name: str) -> Path:
    """Return where the environment of a peer is."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "pairs-bench" / name


def python_of(name: str) -> Path:
    """Return the Python of a peer's environment, made if need be."""
    home = folder(name)
    python = home / "bin" / "python"
    if not (home / "ready").exists():
        if not (python.exists() and _has(python, PACKAGES[name][0])):
            venv.create(home, with_pip=True, clear=True)
            install = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
            subprocess.run([*install, *PACKAGES[name]], check=True)
        (home / "ready").touch()
    return python


def _has(python: Path, package: str) -> bool:
    return bool(_version(python, package))


def _version(python: Path, package: str) -> str:
    code = "import sys; from importlib import metadata; print(metadata.version(sys.argv[1]))"
    done = subprocess.run(
        [python, "-c", code, package], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def version(name: str) -> str:
    """Return the release of a peer."""
    return _version(python_of(name), PACKAGES[name][0])


def run(name: str, script: str, *args: object) -> Any:
    """Return the JSON object the last line of a script's output is.

    Args:
        name: the peer in whose environment it runs.
        script: file name in this folder.
        args: its arguments.
    """
    # -P: this folder's modules must not stand in for the peer's own.
    command = [str(python_of(name)), "-P", str(HERE / script), *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    if done.returncode:
        raise RuntimeError(f"{name}: {script} failed\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def on_columns(name: str, script: str, columns: dict[str, Any], *args: object) -> Any:
    """Run a script on arrays: its first argument is the file they are in (npz)."""
    with tempfile.TemporaryDirectory(prefix="pairs-bench-") as work:
        path = Path(work) / "columns.npz"
        np.savez(path, **columns)
        return run(name, script, path, *args)
