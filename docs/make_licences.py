"""Rewrite docs/licences.md: what every package of requirements.lock is licensed under.

`make licences`, in the environment of the lock. Licences are as the packages themselves state them.
"""

import re
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "docs" / "licences.md"
PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;]+)", re.MULTILINE)
HEAD = """# Licences

This program is under the [MIT licence](../LICENSE). It ships none of the packages below; they are
installed beside it. Made by `make licences` from requirements.lock and from what each package says
of itself; “elsewhere” marks packages that are installed on other systems only.

| package | version | licence |
|---|---|---|
"""


def pins() -> list[tuple[str, str]]:
    """Return name and version of every package of the lock, by name."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    return sorted(PIN.findall(text), key=lambda pin: pin[0].lower())


def licence(name: str) -> str:
    """Return a package's licence in its own words, in one line."""
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return "elsewhere"
    return _stated(found) or "see the package"


def _stated(found: Distribution) -> str:
    for expression in found.metadata.get_all("License-Expression") or ():
        return str(expression).strip()
    classified = [
        line.rsplit(" :: ", 1)[1]
        for line in found.metadata.get_all("Classifier") or ()
        if line.startswith("License ::") and not line.endswith("OSI Approved")
    ]
    if classified:
        return ", ".join(dict.fromkeys(classified))
    texts = [str(text).strip() for text in found.metadata.get_all("License") or ()]
    return texts[0].partition("\n")[0].strip() if texts else ""


def main() -> int:
    """Write the file; the exit code is 0."""
    rows = [f"| {name} | {version} | {licence(name)} |\n" for name, version in pins()]
    FILE.write_text(HEAD + "".join(rows), encoding="utf-8")
    sys.stdout.write(f"{FILE.relative_to(ROOT)}: {len(rows)} packages\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
