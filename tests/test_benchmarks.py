"""The benchmark's own bookkeeping: what it found is kept, and the page is made of all of it."""

import importlib.util
import json

import pytest

from benchmarks import sizes
from benchmarks.__main__ import PARTS, README, main
from benchmarks.measure import by_turns
from benchmarks.report import PAGE, RESULTS, Sample, Section, digits, load, ratio, render, save


def section(title, cell):
    return Section(title, "What was done.", ("what", "time"), [("one", cell)], versions={"p": "1"})


def test_a_section_survives_its_file(tmp_path):
    kept = section("A", Sample((3.0, 1.0, 2.0), "ms"))
    save("a", kept, quick=True, seconds=1.5, folder=tmp_path)
    body = load(tmp_path / "a.json")
    assert body["section"].rows == [["one", Sample((3.0, 1.0, 2.0), "ms")]]
    assert body["section"].versions == {"p": "1"}
    assert body["is_quick"]


def test_a_run_of_one_part_replaces_its_section_only(tmp_path):
    save("a", section("A", "first"), quick=False, seconds=1, folder=tmp_path)
    save("b", section("B", "other"), quick=False, seconds=1, folder=tmp_path)
    before = render(["a", "b", "c"], tmp_path)
    save("a", section("A", "second"), quick=False, seconds=1, folder=tmp_path)
    after = render(["a", "b", "c"], tmp_path)
    assert before.replace("first", "second") == after
    assert before.index("## A") < before.index("## B")


def test_a_sample_shows_its_median_and_spread():
    assert str(Sample((3.0, 1.0, 2.0), "ms")) == "2.00 ms (1.00–3.00)"
    assert str(Sample((2.0,), "ms")) == "2.00 ms"


@pytest.mark.parametrize(("peer", "shown"), [(30.0, "3.00× (≥ 4×, **missed**)"), (50.0, "5.00×")])
def test_a_missed_target_is_said(peer, shown):
    assert ratio(Sample((peer,), "s"), Sample((10.0,), "s"), target=4).startswith(shown)


def test_digits_are_three():
    assert [digits(v) for v in (0.00012345, 99.96, 1e-7)] == ["0.000123", "100.0", "1.0e-07"]
    assert digits(float("nan")) == "–"


def test_a_row_of_the_wrong_length_is_refused():
    with pytest.raises(ValueError, match="must have 2 cells"):
        Section("A", "", ("what", "time"), [("one",)])


def test_turns_are_taken():
    order = []
    found = by_turns({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 2)
    assert order == ["a", "b"] * 3
    assert [len(found[name].values) for name in "ab"] == [2, 2]


def test_every_part_is_there():
    assert [name for name, module in PARTS.items() if not importlib.util.find_spec(module)] == []


def test_an_unknown_part_is_named(capsys):
    with pytest.raises(SystemExit):
        main(["nothing"])
    assert "no part 'nothing'" in capsys.readouterr().err


def test_the_page_is_what_the_files_say():
    """A figure typed by hand into RESULTS.md would be gone after the next run; it fails here."""
    assert PAGE.read_text(encoding="utf-8") == render(PARTS, RESULTS)
    for path in RESULTS.glob("*.json"):
        assert json.loads(path.read_text(encoding="utf-8"))["section"]["title"]


def test_the_readme_s_sizes_are_what_was_measured():
    text = README.read_text(encoding="utf-8")
    assert sizes.BEGIN in text
    assert sizes.replaced(text, RESULTS) == text
