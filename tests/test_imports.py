"""The arrows of ARCHITECTURE.md, held by reading every module's imports."""

import ast
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OUTSIDE = {"tests", "benchmarks", "notebooks", "docs", "deploy", "data", "artefacts", "build"}
BAD_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "shared", "tools"}

# Lower layers know nothing of higher ones; siblings of one layer are listed in APART.
LAYERS = {
    "model": 0,
    "csvtext": 1,
    "params": 1,
    "settings": 1,
    "simulator": 1,
    "analytics": 2,
    "ingest": 2,
    "storage": 2,
    "services": 4,
    "api": 5,
    "ui": 5,
    "pages": 6,
    "dashboard": 7,
    "cli": 7,
    "app": 8,
}
JOINING = 3  # every other root module: engine, desk, alerts, notify, …
APART = [
    {"analytics", "ingest", "storage", "simulator"},
    {"api", "ui", "pages", "dashboard", "cli"},
]
# dashboard and pages are drawn with ui; nothing else may cross.
ALLOWED = {("dashboard", "ui"), ("pages", "ui"), ("dashboard", "pages")}
ANALYTICS_MAY_NOT = {
    "pandas", "streamlit", "sqlalchemy", "httpx", "websockets", "fastapi", "starlette", "time",
    "datetime", "os", "socket", "asyncio", "requests", "pathlib", "io", "random",
}  # fmt: skip
ONLY_IN = {
    "sqlalchemy": {"storage"},
    "psycopg": {"storage"},
    "websockets": {"ingest", "simulator"},
    "apprise": {"notify"},
    "fastapi": {"api"},
}


def _modules() -> dict[str, Path]:
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[0] in OUTSIDE or any(part.startswith(".") or "venv" in part for part in parts):
            continue
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = _modules()


def _imports(path: Path) -> set[str]:
    """Dotted names a module imports at run time (blocks under TYPE_CHECKING left out)."""
    names: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for branch in node.orelse:
                visit(branch)
            return
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            assert node.module is not None
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return names


IMPORTS = {name: _imports(path) for name, path in MODULES.items()}
PARTS = {name.split(".")[0] for name in MODULES}


def _layer(part: str) -> int:
    return LAYERS.get(part, JOINING)


def _tops(module: str) -> set[str]:
    return {name.split(".")[0] for name in IMPORTS[module]}


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down_the_layers(module):
    part = module.split(".")[0]
    for other in (_tops(module) & PARTS) - {part}:
        if (part, other) in ALLOWED:
            continue
        assert _layer(other) <= _layer(part), f"{module} imports {other}, which is above it"
        for group in APART:
            assert not {part, other} <= group, f"{module} imports its sibling {other}"


def test_imports_hold_no_cycle():
    graph = {name: {other for other in names if other in MODULES} - {name}
             for name, names in IMPORTS.items()}  # fmt: skip
    for name, others in graph.items():  # importing a.b runs a as well, but a may import its parts
        others.difference_update(parent for parent in list(others) if name.startswith(parent + "."))
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


def test_simulator_imports_nothing_of_the_project():
    for module in (name for name in MODULES if name.split(".")[0] == "simulator"):
        assert not (_tops(module) & PARTS) - {"simulator"}, module


def test_nothing_but_the_desk_starts_the_simulator():
    """The feed must not know whom it speaks to."""
    users = {name for name in MODULES if "simulator" in _tops(name)}
    users = {name for name in users if name.split(".")[0] != "simulator"}
    assert users <= {"desk"}


def test_analytics_are_arrays_in_arrays_out():
    for module in (name for name in MODULES if name.split(".")[0] == "analytics"):
        assert not _tops(module) & ANALYTICS_MAY_NOT, module


@pytest.mark.parametrize("package", ONLY_IN)
def test_package_is_used_in_one_place_only(package):
    users = {name.split(".")[0] for name in MODULES if package in _tops(name)}
    assert users <= ONLY_IN[package]


def test_only_settings_and_the_launchers_read_the_environment():
    """Settings are read once; everything else gets them as arguments."""
    readers = {
        name
        for name, path in MODULES.items()
        if any(word in path.read_text(encoding="utf-8") for word in ("os.environ", "getenv("))
    }
    assert readers <= {"services", "cli.__main__"}


def test_module_names_say_what_is_inside():
    for module in MODULES:
        assert not BAD_NAMES & set(module.split(".")), module


def test_no_module_of_ours_hides_a_library():
    """A root file called like a standard or third-party module would be imported in its place."""
    for part in PARTS:
        assert part not in sys.stdlib_module_names, part
