"""README, ARCHITECTURE, CHANGELOG and the requirement files say what the code does."""

import ast
import doctest
import importlib
import re
import sys
import tomllib
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from api.app import create_api
from docs import make_licences, make_map
from params import Params
from settings import Settings

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
OUTSIDE = {"tests", "benchmarks", ".ci", "docs", "deploy"}

# Required, but imported by something else on our behalf.
INDIRECT = {
    "psycopg": "SQLAlchemy's driver for postgresql+psycopg://",
    "uvicorn": "Streamlit's server; older ones warn about websockets 17",
}

# Parts of listed packages that tests may use directly.
TRANSITIVE = {"packaging", "scipy", "playwright", "pyyaml"}


def _shipped() -> list[Path]:
    return [
        path
        for path in sorted(ROOT.rglob("*.py"))
        if not any(
            part in OUTSIDE or part.startswith(".") or "venv" in part
            for part in path.relative_to(ROOT).parts
        )
    ]


def _requirements(name: str) -> dict[str, Requirement]:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    listed = [Requirement(line) for line in lines if line and line[0] not in "#-"]
    return {canonicalize_name(one.name): one for one in listed}


# -- README ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", Settings.model_fields)
def test_readme_lists_the_setting_with_its_default(name):
    field = Settings.model_fields[name]
    row = re.search(rf"^\| `PAIRS_{name.upper()}` \|(.*?)\|", README, re.MULTILINE)
    assert row, f"README has no row for PAIRS_{name.upper()}"
    default = field.default
    shown = ",".join(default) if isinstance(default, tuple) else default
    if shown not in (None, ""):
        assert f"`{shown}`" in row[1], f"PAIRS_{name.upper()} defaults to {shown}"


def test_readme_lists_no_setting_there_is_not():
    known = {f"PAIRS_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"PAIRS_[A-Z0-9_]+", README)) <= known


def test_readme_lists_every_strategy_parameter_with_its_default():
    for name, default in Params().as_dict().items():
        row = re.search(rf"^\| `{name}` \|(.*?)\|", README, re.MULTILINE)
        assert row, f"README has no row for {name}"
        if default is not None and name != "gates":
            shown = f"{default:g}" if isinstance(default, float) else str(default)
            assert f"`{shown}`" in row[1], f"{name} defaults to {shown}"


def _routes() -> set[tuple[str, str]]:
    found = {("GET", "/api/ws")}
    for path, methods in create_api(lambda: None).openapi()["paths"].items():
        full = path if path.startswith("/api") else f"/api{path}"
        found |= {(method.upper(), full) for method in methods}
    return found


def test_readme_lists_exactly_the_routes_there_are():
    listed = {
        (method, re.sub(r"\?.*", "", path))
        for methods, path in re.findall(
            r"^\| `([A-Z]+(?: · [A-Z]+)*) (/api/[^`]+)` \|", README, re.MULTILINE
        )
        for method in methods.split(" · ")
    }
    actual = _routes()
    assert sorted(actual - listed) == [], "in the API, not in README"
    assert sorted(listed - actual) == [], "in README, not in the API"


def test_readme_names_every_page():
    for page in sorted((ROOT / "pages").glob("*.py")):
        if page.stem != "__init__":
            assert re.search(rf"\*\*{page.stem}\*\*", README, re.IGNORECASE), page.stem


def test_readme_commands_are_the_ones_ci_runs():
    run = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    start = (ROOT / ".ci" / "first_start.py").read_text(encoding="utf-8")
    assert "pip install -r requirements.txt" in README
    assert "streamlit run app.py" in README
    assert '["streamlit", "run", "app.py"]' in start
    assert "-r requirements.txt" in (ROOT / "requirements-dev.txt").read_text(encoding="utf-8")
    assert "install -r requirements-dev.txt" in run


@pytest.mark.parametrize("name", sorted(path.name for path in ROOT.glob("*.md")))
def test_links_between_our_files_lead_somewhere(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if not target.startswith(("http:", "https:", "mailto:")):
            assert (ROOT / target).exists(), f"{name} links to {target}"


WITH_EXAMPLES = [path for path in _shipped() if "\n    >>> " in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_examples_in_docstrings_are_true(path):
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    found = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert (found.failed, found.attempted > 0) == (0, True)


# -- ARCHITECTURE -------------------------------------------------------------------------------


def test_architecture_map_is_that_of_the_code():
    assert "its one job" in ARCHITECTURE
    assert make_map.replaced(ARCHITECTURE) == ARCHITECTURE, "run `make map`"


def test_architecture_names_no_file_there_is_not():
    named = re.findall(r"`([\w./-]+\.(?:py|toml|js|css))`", ARCHITECTURE)
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_architecture_lists_every_thread():
    starts = re.compile(r"Thread\([^)]*name=\"([^\"]+)\"|thread_name_prefix=\"([^\"]+)\"")
    for path in _shipped():
        for found in starts.findall(path.read_text(encoding="utf-8")):
            name = found[0] or found[1]
            assert f"`{name}`" in ARCHITECTURE, f"{path.name} starts a thread {name}"


def test_architecture_numbers_its_decisions_in_order():
    numbers = [int(n) for n in re.findall(r"^(\d+)\. \*\*", ARCHITECTURE, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= 10


# -- versions and requirements --------------------------------------------------------------------


def test_version_is_the_same_everywhere():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    services = (ROOT / "services.py").read_text(encoding="utf-8")
    newest = re.search(r"^## (\d+\.\d+\.\d+)", changelog, re.MULTILINE)
    running = re.search(r'^VERSION = "(.+)"$', services, re.MULTILINE)
    assert newest
    assert running
    assert PROJECT["project"]["version"] == running[1] == newest[1]


def test_pyproject_takes_its_dependencies_from_requirements():
    """One list, not two that drift apart."""
    assert PROJECT["project"]["dynamic"] == ["dependencies"]
    assert PROJECT["tool"]["setuptools"]["dynamic"]["dependencies"]["file"] == ["requirements.txt"]


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-dev.txt"])
def test_requirements_have_both_bounds_and_hold_here(file):
    for name, requirement in _requirements(file).items():
        operators = {part.operator for part in requirement.specifier}
        assert operators & {">=", "=="}, f"{name} has no lower bound"
        assert operators & {"<", "=="}, f"{name} has no upper bound"
        assert version(name) in requirement.specifier, f"{name} {version(name)} is installed"


def _third_party(paths: list[Path]) -> dict[str, set[str]]:
    """Packages imported, each with the files that do."""
    ours = {path.name.removesuffix(".py") for path in ROOT.iterdir()}
    ours |= {path.stem for path in (ROOT / "tests").glob("*.py")}
    providers = packages_distributions()
    found: dict[str, set[str]] = {}
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for top in {name.split(".")[0] for name in names} - ours - sys.stdlib_module_names:
                package = canonicalize_name(providers.get(top, [top])[0])
                found.setdefault(package, set()).add(path.relative_to(ROOT).as_posix())
    return found


def test_requirements_are_what_is_imported():
    imported, listed = _third_party(_shipped()), set(_requirements("requirements.txt"))
    assert {name: where for name, where in imported.items() if name not in listed} == {}
    assert listed - set(imported) == set(INDIRECT)


def test_requirements_dev_hold_what_tests_import():
    listed = set(_requirements("requirements.txt")) | set(_requirements("requirements-dev.txt"))
    imported = _third_party(sorted((ROOT / "tests").rglob("*.py")))
    known = listed | TRANSITIVE
    assert {name: where for name, where in imported.items() if name not in known} == {}


def test_lock_pins_every_requirement_by_hash():
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pins = dict(re.findall(r"^([a-zA-Z0-9._-]+)(?:\[[^\]]*\])?==([^\s;]+)", lock, re.MULTILINE))
    pins = {canonicalize_name(name): pin for name, pin in pins.items()}
    blocks = re.split(r"^(?=[a-zA-Z0-9])", lock, flags=re.MULTILINE)[1:]
    assert all("--hash=sha256:" in block for block in blocks)
    for file in ("requirements.txt", "requirements-dev.txt"):
        for name, requirement in _requirements(file).items():
            assert pins.get(name, "") in requirement.specifier, f"{name}: run `make lock`"


def test_licences_are_those_of_the_lock():
    """Every locked package in its locked version, each with a licence or the reason for none."""
    text = make_licences.FILE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\S+) \| (\S+) \| (.+) \|$", text, re.MULTILINE)[1:]
    assert [(name, pin) for name, pin, _ in rows] == make_licences.pins(), "run `make licences`"
    direct = set(_requirements("requirements.txt"))
    stated = {canonicalize_name(name): licence for name, _, licence in rows}
    assert {stated[name] for name in direct} & {"elsewhere", "see the package"} == set()
    found = {name: make_licences.licence(name) for name in direct}
    assert found == {name: stated[name] for name in direct}, "run `make licences`"
