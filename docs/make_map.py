"""Rewrite ARCHITECTURE.md's map of files from the first sentence of every module.

`make map`. The map cannot drift from the code: a test compares the two.
"""

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- map: made by `make map` -->", "<!-- end of map -->"
OUTSIDE = {"tests", "benchmarks", "docs", "deploy", "build", "data", "artefacts"}


def sentence(path: Path) -> str:
    """Return the first sentence of a module's docstring, without its full stop."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    first = " ".join(text.split("\n\n", 1)[0].split())
    match = re.match(r"(.+?[^.\s]{2})\.(?:\s|$)", first)
    return (match[1] if match else first.rstrip(".")).replace("|", "\\|")


def modules() -> list[Path]:
    """Return the shipped modules: root files first, then package by package."""
    found = [
        path
        for path in ROOT.rglob("*.py")
        if not any(
            part in OUTSIDE or part.startswith(".") or "venv" in part
            for part in path.relative_to(ROOT).parts
        )
    ]
    named = {path.relative_to(ROOT).as_posix(): path for path in found}
    return [named[name] for name in sorted(named, key=lambda name: ("/" in name, name))]


def render() -> str:
    """Return the map as Markdown, markers included."""
    lines, package = [BEGIN], None
    for path in modules():
        name = path.relative_to(ROOT)
        here = "" if len(name.parts) == 1 else "/".join(name.parts[:-1])
        init = path.parent / "__init__.py"
        if here != package:
            about = f" – {sentence(init)}" if here and init.exists() and sentence(init) else ""
            lines += ["", f"**{here or 'root'}{'/' if here else ''}**{about}", ""]
            lines += ["| file | its one job |", "|---|---|"]
            package = here
        if path.name != "__init__.py":
            lines.append(f"| `{name.as_posix()}` | {sentence(path)} |")
    return "\n".join([*lines, "", END])


def replaced(text: str) -> str:
    """Return ARCHITECTURE.md's text with the map of now."""
    before, rest = text.split(BEGIN, 1)
    return before + render() + rest.split(END, 1)[1]


if __name__ == "__main__":
    document = ROOT / "ARCHITECTURE.md"
    document.write_text(replaced(document.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write("ARCHITECTURE.md: map rewritten\n")
