"""What a part of the benchmark found, kept as JSON, and RESULTS.md made of it.

Every run writes `results/PART.json`; RESULTS.md is rendered from all of them, so that a run of one
part replaces its own section only and nothing in the table is typed by hand.
"""

import json
import math
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RESULTS = HERE / "results"
PAGE = HERE / "RESULTS.md"
LIBRARIES = ("numpy", "numba", "pandas", "SQLAlchemy", "streamlit", "websockets", "msgspec")

INTRO = """# Results

Written by `python -m benchmarks` (`make bench`); `python -m benchmarks {names}` runs single parts
and replaces their sections only. Raw numbers: `results/*.json`.

Figures are medians, with the least and the greatest of the repeats in brackets. Within a row both
sides worked on the same input, in the same run, by turns. Machines differ: ratios travel, times do
not. Peers are installed once, each into an environment of its own, in the newest release there was;
their versions stand in the tables.
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """Repeated measurements of one thing, all in `unit`."""

    values: tuple[float, ...]
    unit: str

    @property
    def median(self) -> float:
        """The middle of the values."""
        return statistics.median(self.values)

    def scaled(self, factor: float, unit: str) -> "Sample":
        """Return the same measurements × `factor`, in another unit."""
        return Sample(tuple(value * factor for value in self.values), unit)

    def __str__(self) -> str:
        middle = f"{digits(self.median)} {self.unit}".strip()
        if len(self.values) < 2:
            return middle
        return f"{middle} ({digits(min(self.values))}–{digits(max(self.values))})"


Cell = str | Sample


@dataclass(frozen=True, slots=True)
class Section:
    """One part's findings.

    Attributes:
        title: the heading.
        sentence: what was done with what, in one or two sentences.
        columns: the table's header.
        rows: as many cells each as there are columns. A `Sample` is shown as median and spread.
        notes: sentences below the table.
        images: file names in `results/`, shown below the notes.
        versions: of the libraries the part compared with, by name.
        figures: plain numbers that other documents or plots are made of.
    """

    title: str
    sentence: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = ()
    images: Sequence[str] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"{self.title}: a row must have {len(self.columns)} cells, was {list(row)}"
                )


def ratio(peer: Sample, ours: Sample, *, target: float | None = None) -> str:
    """Return how many times as much the peer takes, and whether that is the target.

    >>> ratio(Sample((30.0, 31.0, 29.0), "ms"), Sample((10.0,), "ms"), target=2)
    '3.00× (≥ 2×)'
    """
    times = peer.median / ours.median
    if target is None:
        return f"{digits(times)}×"
    missed = "" if times >= target else ", **missed**"
    return f"{digits(times)}× (≥ {target:,g}×{missed})"


def digits(value: float) -> str:
    """Return a number with three significant digits and thousands separated.

    >>> digits(0.01234), digits(12.34), digits(1234567.0), digits(0.0)
    ('0.0123', '12.3', '1,234,567', '0')
    """
    if not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    if size < -4:
        return f"{value:.1e}"
    return f"{value:,.{max(0, 2 - size)}f}"


def machine() -> dict[str, str]:
    """Return what this is run on."""
    cpu = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        cpu = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{pages / 2**30:.0f} GiB",
        "processor": cpu,
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
        "libraries": ", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES),
    }


def revision() -> str:
    """Return the commit measured, with a + when files were changed since; "" without git."""
    command = ["git", "describe", "--always", "--dirty=+", "--abbrev=10", "--exclude=*"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def save(name: str, section: Section, *, quick: bool, seconds: float, folder: Path) -> None:
    """Write a part's findings to `folder`/NAME.json."""
    body = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "revision": revision(),
        "is_quick": quick,
        "seconds": round(seconds, 1),
        "load": [round(value, 2) for value in os.getloadavg()],
        "machine": machine(),
        "section": asdict(section),
    }
    folder.mkdir(exist_ok=True)
    text = json.dumps(body, indent=1, ensure_ascii=False)
    (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def load(path: Path) -> dict[str, Any]:
    """Return what `save` wrote, its section as a Section again."""
    body: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    section = body["section"]
    section["rows"] = [[_cell(cell) for cell in row] for row in section["rows"]]
    body["section"] = Section(**section)
    return body


def _cell(cell: Any) -> Cell:
    if isinstance(cell, dict):
        return Sample(tuple(cell["values"]), cell["unit"])
    return str(cell)


def render(names: Iterable[str], folder: Path) -> str:
    """Return RESULTS.md from the JSON files of the parts `names`, in that order."""
    bodies = [load(path) for name in names if (path := folder / f"{name}.json").exists()]
    lines = [INTRO.format(names="PART …")]
    machines: list[dict[str, str]] = []
    for body in bodies:
        if body["machine"] not in machines:
            machines.append(body["machine"])
    lines += ["| | machine |", "|---|---|"]
    for number, one in enumerate(machines, start=1):
        about = f"{one['cores']} cores ({one['processor']}), {one['memory']}, {one['system']}, "
        lines.append(f"| {number} | {about}Python {one['python']}; {one['libraries']} |")
    for body in bodies:
        lines += ["", *_section(body, machines.index(body["machine"]) + 1)]
    return "\n".join(lines) + "\n"


def _section(body: dict[str, Any], machine_number: int) -> list[str]:
    section: Section = body["section"]
    lines = [f"## {section.title}", "", section.sentence, ""]
    if section.rows:
        lines.append("| " + " | ".join(section.columns) + " |")
        lines.append("|" + "---|" * len(section.columns))
        lines += ["| " + " | ".join(map(str, row)) + " |" for row in section.rows]
        lines.append("")
    lines += [f"- {note}" for note in section.notes]
    lines += [f"- Versions: {', '.join(f'{k} {v}' for k, v in section.versions.items())}."] * bool(
        section.versions
    )
    quick = " **A quick run: small inputs, few repeats.**" if body["is_quick"] else ""
    lines.append(
        f"- Measured {body['date']} at `{body['revision']}` on machine {machine_number} in "
        f"{body['seconds']:.0f} s; load average before {body['load'][0]:g}.{quick}"
    )
    for name in section.images:
        lines += ["", f"![{section.title}](results/{name})"]
    return lines
