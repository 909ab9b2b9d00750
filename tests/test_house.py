"""What every file of the project keeps to, whatever it is about."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SKIPPED = {
    ".git", ".venv", "venv", "data", "artefacts", "node_modules", "build", ".peers", "__pycache__",
    ".hypothesis", ".mypy_cache", ".ruff_cache", ".pytest_cache",
}  # fmt: skip
TEXT = {".py", ".md", ".toml", ".txt", ".lock", ".js", ".css", ".html", ".yaml", ".yml", ".ipynb",
        ".service", ".json", ""}  # fmt: skip
LARGEST_BYTES = 3_000_000
# Written in two halves so that this file passes its own test.
UNFINISHED = ("TO" + "DO", "FIX" + "ME", "X" + "XX:", "HA" + "CK:")
REGISTRIES = ("pypi" + ".org", "pythonhosted" + ".org", "npmjs" + ".org", "debian" + ".org")
REMOTE = (
    "cdn" + ".", "unpkg" + ".com", "jsdelivr" + ".net", "cdnjs" + ".", "googleapis" + ".com",
    "gstatic" + ".com", "esm" + ".sh",
)  # fmt: skip


def _files() -> list[Path]:
    found = []
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        if path.is_file() and not SKIPPED & set(parts) and path.name != ".env":
            found.append(path)
    return found


FILES = _files()
TEXTS = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in FILES
    if path.suffix in TEXT
}
TREES = {name: ast.parse(text) for name, text in TEXTS.items() if name.endswith(".py")}


def _mentions(words: tuple[str, ...], names: dict[str, str]) -> list[str]:
    return [
        f"{name}:{number}: {word}"
        for name, text in names.items()
        for number, line in enumerate(text.splitlines(), 1)
        for word in words
        if word in line
    ]


def test_nothing_is_left_for_later():
    assert _mentions(UNFINISHED, TEXTS) == []


def test_no_file_names_a_package_registry():
    """Where packages come from is the machine's business, not ours."""
    assert _mentions(REGISTRIES, TEXTS) == []


def test_nothing_is_loaded_from_a_foreign_address():
    shipped = {
        name: text
        for name, text in TEXTS.items()
        if name.endswith((".py", ".js", ".css", ".html")) and not name.startswith("tests/")
    }
    assert _mentions(REMOTE, shipped) == []
    front = {n: t for n, t in shipped.items() if n.endswith((".js", ".css", ".html"))}
    loads = re.compile(r"""(?:src|href|url\(|import|from|fetch\()\s*[=(]?\s*["']?(?:https?:)?//""")
    bad = [name for name, text in front.items() if loads.search(text)]
    assert bad == []


def test_text_is_clean():
    for name, text in TEXTS.items():
        assert "\r" not in text, f"{name}: carriage return"
        assert not re.search(r"^(<{7} |>{7} |={7}$)", text, re.MULTILINE), f"{name}: merge mark"
        assert text == "" or text.endswith("\n"), f"{name}: no newline at the end"


def test_no_file_is_huge():
    assert [p.name for p in FILES if p.stat().st_size > LARGEST_BYTES] == []


def test_every_module_says_what_it_is():
    silent = [
        name
        for name, tree in TREES.items()
        if not name.startswith("tests/") and tree.body and not ast.get_docstring(tree)
    ]
    assert silent == []


def test_helpers_of_tests_are_imported_by_their_full_name_and_never_from_a_test():
    """`from tests.api_fakes …`: found from anywhere; a test imported by another would run twice."""
    ours = {Path(name).stem for name in TREES if name.startswith("tests/")}
    bad = [
        f"{name}:{node.lineno}: {module}"
        for name, tree in TREES.items()
        if name.startswith("tests/")
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for module in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
        )
        if module.split(".")[0] in ours or module.startswith("tests.test_")
    ]
    assert bad == []


def test_skipped_tests_give_a_reason():
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            if called in ("pytest.mark.skip", "pytest.mark.skipif", "pytest.mark.xfail"):
                named = {keyword.arg for keyword in node.keywords}
                assert "reason" in named, f"{name}:{node.lineno}: {called} without a reason"
            elif called in ("pytest.skip", "pytest.xfail"):
                assert node.args or node.keywords, f"{name}:{node.lineno}: without a reason"


def test_warnings_are_not_switched_off_wholesale():
    """A filter names the message or the class it is for."""
    filters = tomllib.loads(TEXTS["pyproject.toml"])["tool"]["pytest"]["ini_options"]
    assert filters["filterwarnings"][0] == "error"
    assert all(rule.count(":") >= 1 for rule in filters["filterwarnings"][1:])
    for name, text in TEXTS.items():
        assert name.startswith(("tests/", "benchmarks/")) or 'simplefilter("ignore")' not in text, (
            name
        )


@pytest.mark.parametrize("word", ["print(", "breakpoint("])
def test_shipped_code_does_not_write_to_the_terminal(word):
    ends = {"simulator/__main__.py"}
    bad = [
        f"{name}:{node.lineno}"
        for name, tree in TREES.items()
        if name.split("/")[0] not in {"tests", "benchmarks", ".ci", "docs", "cli"}
        and name not in ends
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == word[:-1]
    ]
    assert bad == []


def test_no_threads_without_a_name():
    """A thread without a name is a riddle in every log and profile."""
    bad = [
        f"{name}:{node.lineno}"
        for name, tree in TREES.items()
        if not name.startswith(("tests/", "benchmarks/"))
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("threading.Thread", "Thread")
        and "name" not in {keyword.arg for keyword in node.keywords}
    ]
    assert bad == []
