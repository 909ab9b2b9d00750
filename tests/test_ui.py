"""What the pages compute and write, without a browser and without running services."""

import json
import re
import threading
import time
from types import SimpleNamespace
from urllib.parse import parse_qs

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from model import Quality, Timeframe
from params import GATES, Params
from ui import charts, coverage, jobs, live, numbers, research, sidebar, text, theme
from ui.numbers import plain
from ui.reliability import reliability
from ui.runs import Kept

# -- numbers and files ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (float("nan"), "–"), (float("inf"), "–"), (0.0, "0.00"), (-1234.5, "−1,234.50")],
)
def test_number_shows_what_is_unknown_as_a_dash_and_never_as_zero(value, shown):
    assert numbers.number(value) == shown


# -- words ------------------------------------------------------------------------------------


def test_every_parameter_has_a_label_and_a_sentence():
    assert set(text.LABELS) == set(text.PARAMETERS) == set(Params.model_fields)


def test_sidebar_offers_every_parameter_once():
    offered = ["y", "x", "timeframe", "window", "hedge_method", "entry", "exit", "stop"]
    for names in sidebar.SECTIONS.values():
        offered += names
    assert sorted(offered) == sorted(Params.model_fields)


def test_every_anchor_is_a_heading_of_the_methods_document(root):
    document = (root / "docs" / "methods.md").read_text(encoding="utf-8")
    headings = {
        re.sub(r"[^a-z0-9]+", "-", line[3:].lower()).strip("-")
        for line in document.splitlines()
        if line.startswith("## ")
    }
    assert set(text.NUMBERS) <= headings
    linked = set()
    for path in (root / "ui" / "assets" / name for name in ("cards.js", "decision.js")):
        source = path.read_text(encoding="utf-8")
        linked |= set(re.findall(r'anchor: "([a-z-]+)"', source))
        linked |= set(re.findall(r"\$\{methods\}#([a-z-]+)", source))
    for path in [*(root / "ui").glob("*.py"), *(root / "pages").glob("*.py")]:
        linked |= set(re.findall(r"METHODS\}#([a-z-]+)", path.read_text(encoding="utf-8")))
    assert linked and linked <= headings


def test_live_page_asks_for_the_whole_rule():
    """What is left out would be the running rule's."""
    rule = Params(window=77, gates=("warm", "fresh"), fee_bps=None)
    asked = parse_qs(live.query(rule), keep_blank_values=True)
    assert set(asked) == set(Params.model_fields)
    assert asked["gates"] == ["warm,fresh"] and asked["fee_bps"] == [""]
    assert Params.parse({name: values[0] for name, values in asked.items()}) == rule


# -- colours ----------------------------------------------------------------------------------


def luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("mode", ["dark", "light"])
def test_text_colours_stand_out_from_the_page(mode):
    """WCAG AA: 4.5 to 1 for text on the page and for the page's colour on a coloured badge."""
    palette = theme.PALETTE[mode]
    paper = luminance(palette["paper"])
    for name in ("y", "x", "long", "short", "good", "bad", "warning", "ink", "muted", "kalman"):
        own = luminance(palette[name])
        low, high = sorted((own, paper))
        assert (high + 0.05) / (low + 0.05) >= 4.5, name


def test_both_themes_have_the_same_names():
    assert set(theme.PALETTE["dark"]) == set(theme.PALETTE["light"])


# -- thinning ---------------------------------------------------------------------------------


def test_thinning_keeps_every_extreme_and_both_ends():
    rng = np.random.default_rng(3)
    values = rng.normal(size=100_000).cumsum()
    values[40_000:40_100] = np.nan
    rows = charts.thin(values)
    assert len(rows) <= charts.MOST_POINTS + 2
    assert (np.diff(rows) > 0).all() and rows[0] == 0 and rows[-1] == len(values) - 1
    assert np.nanmax(values) in values[rows] and np.nanmin(values) in values[rows]


def test_thinning_leaves_short_series_alone():
    assert charts.thin(np.arange(10.0)).tolist() == list(range(10))


# -- research ---------------------------------------------------------------------------------


def test_autocorrelation_of_an_alternating_series():
    values = np.tile([1.0, -1.0], 50)
    found = research.autocorrelation(values, lags=2)
    np.testing.assert_allclose(found, [1.0, -0.99, 0.98])


def test_autocorrelation_of_a_constant_is_unknown():
    assert np.isnan(research.autocorrelation(np.ones(30), lags=3)).all()


def test_stretches_cover_time_without_overlap():
    codes = np.array([2, 2, 0, 4, 4, 4], dtype=np.int8)
    ts = np.arange(6) * 60_000
    found = research.stretches(codes, ts, 60_000)
    assert [(int(kind), start, end) for kind, start, end in found] == [
        (2, 0, 120_000),
        (0, 120_000, 180_000),
        (4, 180_000, 360_000),
    ]


def test_reliability_counts_each_decision_once():
    told = [(0.05, False), (0.61, True), (0.65, False), (1.0, True)]
    found = reliability(told)
    assert [one.n for one in found] == [1, 2, 1]
    assert found[1].stated == pytest.approx(0.63) and found[1].paid == 0.5
    assert all(one.low <= one.paid <= one.high for one in found)


# -- coverage ---------------------------------------------------------------------------------


def stored(rows):
    store = SimpleNamespace(timeline=lambda symbol, timeframe, start, end, width: rows)
    return SimpleNamespace(symbols=lambda: ("AUSDT",), store=store)


def test_coverage_shows_the_best_complete_source_and_marks_holes():
    hour = 3_600_000
    width = 60_000
    rows = [
        (0, int(Quality.KLINE), 1),
        (0, int(Quality.LIVE), 1),  # the same bucket from own trades: live is shown
        (width, int(Quality.KLINE), 1),
        (3 * width, int(Quality.BACKFILLED), 1),
    ]
    grid = coverage.stretches(stored(rows), Timeframe.M1, 0, hour)[0]
    names = [name for name, _ in coverage.KINDS.values()]
    assert [names[int(code)] for code in grid[:4]] == ["live", "kline", "missing", "backfilled"]
    assert np.isnan(grid[4:]).all()


def test_coverage_misses_nothing_where_storage_began():
    """A week in stretches of 43 minutes: the first holds three bars, then there is a hole."""
    day = 86_400_000
    width = 42 * 60_000
    rows = [(0, int(Quality.KLINE), 3), (2 * width, int(Quality.KLINE), 42)]
    grid = coverage.stretches(stored(rows), Timeframe.M1, 0, 7 * day)[0]
    names = [name for name, _ in coverage.KINDS.values()]
    assert [names[int(code)] for code in grid[:3]] == ["kline", "missing", "kline"]


# -- jobs -------------------------------------------------------------------------------------


@pytest.fixture
def session(monkeypatch):
    held: dict = {}
    monkeypatch.setattr(jobs.st, "session_state", held)
    return held


@pytest.mark.usefixtures("session")
def test_job_is_found_again_under_its_key_and_replaced_under_another():
    first = jobs.start("a", 1, lambda _: 41)
    assert first.wait(5) and jobs.start("a", 1, lambda _: 0) is first
    second = jobs.start("a", 2, lambda _: 42)
    assert second is not first and second.wait(5) and second.result() == 42
    assert first.progress.is_cancelled()


@pytest.mark.usefixtures("session")
def test_only_a_young_job_is_waited_for():
    """A page drawn again while a scan goes on must not wait each time."""
    goes_on = threading.Event()
    job = jobs.start("a", 1, lambda _: goes_on.wait(30))
    assert not job.wait(0.05)
    began = time.monotonic()
    assert not any(job.wait(0.05) for _ in range(100))
    assert time.monotonic() - began < 2.5  # each time would be 5 s
    goes_on.set()


@pytest.mark.usefixtures("session")
def test_cancelled_job_ends_at_its_next_report():
    entered = threading.Event()

    def work(progress):
        entered.set()
        while True:
            progress.report(1, 2)
            time.sleep(0.001)

    job = jobs.start("a", 1, work)
    assert entered.wait(5)
    job.progress.cancel()
    assert job.wait(5)
    with pytest.raises(jobs.Cancelled):
        job.result()


def test_kept_results_are_few_and_the_newest():
    kept, made = Kept(2), []
    for key in (1, 2, 1, 3, 2):
        kept.get(key, lambda key=key: made.append(key))
    assert made == [1, 2, 3, 2]


# -- the sidebar, as a page of its own ----------------------------------------------------------


def sidebar_page():
    from types import SimpleNamespace as Fake  # noqa: PLC0415 - AppTest runs this body alone

    import streamlit as st  # noqa: PLC0415

    from model import ConfigError  # noqa: PLC0415
    from params import Params  # noqa: PLC0415
    from ui import sidebar as drawn  # noqa: PLC0415

    class Parts:
        rule = Params()
        store = Fake()
        services = Fake()

        def symbols(self):
            return ("BTCUSDT", "ETHUSDT", "SOLUSDT")

        def first_pair(self):
            return "BTCUSDT", "ETHUSDT"

        def check(self, params):
            for field in ("y", "x"):
                if getattr(params, field) not in self.symbols():
                    raise ConfigError(f"{field} must be ingested", field=field)

        def rule_differences(self, params):
            mine, running = params.as_dict(), self.rule.as_dict()
            return [name for name in mine if mine[name] != running[name]]

        def remembered(self, name):
            return {"mine": Params(window=123).as_dict()} if name == "presets" else {}

    params = drawn.render(Parts())
    st.json(params.as_dict())


def opened(**query: str) -> AppTest:
    at = AppTest.from_function(sidebar_page, default_timeout=20)
    for name, value in query.items():
        at.query_params[name] = value
    return at.run()


def shown(at: AppTest) -> dict:
    return json.loads(at.json[0].value)


def test_sidebar_starts_with_the_defaults_of_params():
    at = opened()
    assert not at.exception
    assert shown(at) == Params().as_dict()


def test_link_reopens_a_view():
    at = opened(
        y="SOLUSDT", timeframe="5m", window="80", entry="2.5", gates="warm,fresh", fee_bps="3"
    )
    assert not at.exception
    found = shown(at)
    assert (found["y"], found["timeframe"], found["window"]) == ("SOLUSDT", "5m", 80)
    assert (found["entry"], found["gates"], found["fee_bps"]) == (2.5, ["warm", "fresh"], 3.0)


@pytest.mark.parametrize("value", ["1e400", "inf", "-Infinity", "nan"])
@pytest.mark.parametrize("name", ["window", "max_hold", "capital"])
def test_endless_number_in_a_link_is_refused_not_failed(name, value):
    at = opened(**{name: value, "test_window": "100"})
    assert not at.exception
    assert shown(at) == Params(test_window=100).as_dict()
    assert any("not taken whole" in warning.value for warning in at.warning)


def test_contradiction_is_said_next_to_its_field_and_the_last_valid_view_stays():
    at = opened(window="80")
    at.number_input(key="exit").set_value(2.5).run()
    errors = [error.value for error in at.error]
    assert any("must be below entry" in error and "Exit" in error for error in errors)
    assert shown(at)["window"] == 80 and shown(at)["exit"] == 0.5
    at.number_input(key="exit").set_value(1.0).run()
    assert not at.error and shown(at)["exit"] == 1.0


def test_same_leg_twice_is_refused_at_x():
    at = opened(y="ETHUSDT")
    assert any("X must differ from y" in error.value for error in at.error)


def test_unknown_symbol_in_a_link_is_named():
    at = opened(y="DOGEUSDT")
    assert any("y must be ingested" in warning.value for warning in at.warning)
    assert shown(at)["y"] == "BTCUSDT"


def test_swap_turns_the_pair_around():
    at = opened()
    at.button(key="_swap").click().run()
    assert (shown(at)["y"], shown(at)["x"]) == ("ETHUSDT", "BTCUSDT")


def test_reset_brings_back_every_default():
    at = opened(window="80", entry="3", gates="warm", hedge_method="kalman")
    assert shown(at)["hedge_method"] == "kalman"
    at.button(key="_reset").click().run()
    assert shown(at) == Params().as_dict()


def test_preset_loads_into_the_fields():
    at = opened()
    at.selectbox(key="_preset").select("mine").run()
    at.button(key="_preset_load").click().run()
    assert shown(at)["window"] == 123


def test_no_gate_is_a_choice_too():
    at = opened()
    at.multiselect(key="gates").set_value([]).run()
    assert shown(at)["gates"] == []


def test_gates_repeated_in_a_link_are_read_as_well():
    at = opened(gates=["warm", "fresh"])
    assert shown(at)["gates"] == ["warm", "fresh"]
    assert len(GATES) == 7


def test_choices_are_shown_in_words_and_linked_as_the_contract_writes_them():
    at = opened(hedge_method="kalman", gates="warm,worth_it")
    assert at.selectbox(key="hedge_method").options[2] == "Kalman filter"
    assert at.multiselect(key="gates").options[-1] == "Worth it"
    assert at.query_params["hedge_method"] in ("kalman", ["kalman"])
    assert at.query_params["gates"] in ("warm,worth_it", ["warm,worth_it"])
    at.selectbox(key="hedge_method").set_value("ols").run()
    at.multiselect(key="gates").set_value([]).run()
    assert "hedge_method" not in at.query_params and at.query_params["gates"] in ("", [""])
    assert shown(at)["hedge_method"] == "ols" and shown(at)["gates"] == []


def test_choice_that_is_none_is_named_and_the_usual_one_taken():
    at = opened(hedge_method="magic")
    assert any("hedge_method must be" in warning.value.lower() for warning in at.warning)
    assert shown(at)["hedge_method"] == "ols"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("hedge_method must be ols", "hedge_method must be ols"),
        ("![x](http://h/)", "!\\[x\\](http\\://h/)"),
        ("_a_ __b__ *c* `d` <e> $f$", "\\_a\\_ \\_\\_b\\_\\_ \\*c\\* \\`d\\` \\<e\\> \\$f\\$"),
    ],
)
def test_foreign_text_is_shown_letter_by_letter(text, shown):
    assert plain(text) == shown
