"""Every control that the other browser tests leave alone, the keyboard, and a line that breaks."""

import csv
import json
import re
from collections.abc import Iterator

import httpx
import pytest

from tests.browser_server import CHROMIUM
from tests.cuttable_line import Line
from tests.receiver import Receiver

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = playwright.expect

pytest_plugins = ["tests.browser_fixtures"]
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="Chromium is not installed"),
    # pytest-base-url, which pytest-playwright brings, defines its fixture the old way
    pytest.mark.filterwarnings("ignore:Session-scoped fixtures defined as instance methods"),
]
SLOW_MS = 40_000
READY = "window.__live && window.__live.updates > 2 && window.__live.draws > 0"


@pytest.fixture(scope="session")
def browser_context_args():
    return {"viewport": {"width": 1280, "height": 1500}}


@pytest.fixture
def line(server) -> Iterator[Line]:
    between = Line(int(server.url.rsplit(":", 1)[1]))
    yield between
    between.close()


def open_live(page, url: str) -> None:
    page.goto(url)
    page.wait_for_function(READY, timeout=SLOW_MS)


def settled(page) -> None:
    page.wait_for_selector(
        '[data-testid="stApp"][data-test-script-state="notRunning"]', timeout=SLOW_MS
    )
    assert page.get_by_test_id("stException").count() == 0


def button(page, name: str):
    return page.get_by_role("button", name=name, exact=True)


# -- the line ---------------------------------------------------------------------------------


def test_cut_network_is_said_and_the_page_goes_on_when_it_is_back(page, line):
    open_live(page, f"http://127.0.0.1:{line.port}/")
    shown = page.locator('[data-card="zscore"] .pl-value').inner_text()
    line.cut()
    expect(page.locator(".pl-item-feed")).to_contain_text("Reconnecting", timeout=15_000)
    assert shown and page.locator(".pl-plot .main-svg").count() > 0
    fulls = page.evaluate("window.__live.fulls")
    line.mend()
    page.wait_for_function("window.__live.state === 'open'", timeout=SLOW_MS)
    updates = page.evaluate("window.__live.updates")
    page.wait_for_function(f"window.__live.updates > {updates} + 3", timeout=SLOW_MS)
    assert page.evaluate("window.__live.mounts") == 1
    # taken up where it broke: no second full message was needed
    assert page.evaluate("window.__live.fulls") == fulls


def test_silent_network_is_noticed_and_values_are_greyed(page, line):
    open_live(page, f"http://127.0.0.1:{line.port}/")
    line.silence()
    expect(page.locator('[data-card="price_y"][data-stale]')).to_be_visible(timeout=15_000)
    expect(page.locator(".pl-item-feed")).to_contain_text("Reconnecting", timeout=20_000)
    line.mend()
    page.wait_for_function("window.__live.state === 'open'", timeout=SLOW_MS)
    expect(page.locator('[data-card="price_y"]:not([data-stale])')).to_be_visible(timeout=15_000)


# -- the keyboard -----------------------------------------------------------------------------

FOCUS = """() => {
  const one = document.activeElement;
  const style = getComputedStyle(one);
  const around = getComputedStyle(one.closest('[data-baseweb], label, div') ?? one);
  const marks = [style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0,
    style.boxShadow !== 'none', around.boxShadow !== 'none',
    around.borderColor !== getComputedStyle(document.body).borderColor];
  return { name: one.innerText || one.getAttribute('aria-label') || one.tagName,
    isOurs: Boolean(one.closest('.pairs-live')), isMarked: marks.some(Boolean) };
}"""


def test_live_page_is_worked_by_keyboard_and_shows_the_focus(page, server):
    open_live(page, server.url)
    button(page, "Normalised").focus()
    seen = []
    for _ in range(9):
        page.keyboard.press("Tab")
        seen.append(page.evaluate(FOCUS))
    assert [one["name"] for one in seen[:2]] == ["Candles", "60"]
    assert all(one["isMarked"] for one in seen), seen
    page.locator(".pl-plot").focus()
    for key in ("ArrowLeft", "ArrowLeft"):
        page.keyboard.press(key)
    expect(page.locator(".pl-moment")).to_be_visible()
    page.keyboard.press("+")
    expect(button(page, "Back to live")).to_be_visible()
    page.keyboard.press("Escape")
    expect(button(page, "Back to live")).to_be_hidden()
    page.get_by_role("tab", name="Last trades").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Series")).to_be_focused()
    expect(page.locator("#pl-pane-series")).to_be_visible()


# -- the live page's and the sidebar's other controls -----------------------------------------


def test_span_clock_and_tables_of_the_live_page(page, server):
    open_live(page, server.url)
    for bars in ("60", "300", "All", "150"):
        button(page, bars).click()
        expect(button(page, bars)).to_have_attribute("aria-pressed", "true")
    button(page, "Local").click()
    expect(button(page, "Local")).to_have_attribute("aria-pressed", "true")
    button(page, "UTC").click()
    page.get_by_role("tab", name="Alert events").click()
    expect(page.locator("#pl-pane-events")).to_be_visible()


def test_swap_timeframe_hedge_and_reset(page, server):
    open_live(page, server.url)
    button(page, "Swap").click()
    expect(page.locator('[data-card="price_y"] .pl-label')).to_have_text("ETHUSDT", timeout=SLOW_MS)
    page.get_by_role("radio", name="5m", exact=True).click()
    page.wait_for_url("**timeframe=5m**")
    page.get_by_role("combobox", name="Hedge ratio").click()
    page.get_by_role("option", name="Kalman filter").click()
    page.wait_for_url("**hedge_method=kalman**")
    expect(page.locator('[data-card="beta"] .pl-label')).to_have_text("β Kalman", timeout=SLOW_MS)
    page.reload()
    page.wait_for_function(READY, timeout=SLOW_MS)
    expect(page.get_by_role("combobox", name="Hedge ratio")).to_have_value("Kalman filter")
    button(page, "Reset to defaults").click()
    expect(page.locator('[data-card="price_y"] .pl-label')).to_have_text("BTCUSDT", timeout=SLOW_MS)
    page.wait_for_function("!/hedge_method|timeframe/.test(location.search)")


def test_contradiction_is_said_at_the_field(page, server):
    open_live(page, server.url)
    field = page.get_by_role("spinbutton", name="Exit |z|")
    field.fill("3")
    field.press("Enter")
    said = page.get_by_test_id("stSidebar").get_by_test_id("stAlert")
    expect(said.first).to_contain_text("must be below entry", timeout=SLOW_MS)


def test_preset_is_saved_loaded_and_deleted(page, server):
    open_live(page, f"{server.url}/?window=70")
    button(page, "Presets").click()
    name = page.get_by_role("textbox", name="Save this view as")
    name.fill("seventy")
    name.press("Enter")
    button(page, "Save").click()
    expect(page.get_by_text("Saved as “seventy”.")).to_be_visible(timeout=SLOW_MS)
    page.goto(f"{server.url}/methods")
    settled(page)
    button(page, "Presets").click()
    page.get_by_role("combobox", name="Preset").click()
    page.get_by_role("option", name="seventy").click()
    button(page, "Load").click()
    expect(page.get_by_role("spinbutton", name="Window (bars)")).to_have_value("70")
    if not button(page, "Delete").is_visible():
        button(page, "Presets").click()
    button(page, "Delete").click()
    expect(page.get_by_text("Deleted “seventy”.")).to_be_visible(timeout=SLOW_MS)


def test_hint_goes_for_good(page, server):
    open_live(page, server.url)
    button(page, "Got it").click()
    expect(page.locator(".st-key-first_hint")).to_be_hidden(timeout=SLOW_MS)
    page.reload()
    page.wait_for_function(READY, timeout=SLOW_MS)
    expect(page.locator(".st-key-first_hint")).to_be_hidden()


# -- the other pages' controls ----------------------------------------------------------------


def test_span_and_second_opinion_of_research(page, server):
    page.goto(f"{server.url}/research")
    page.get_by_role("radio", name="1,000").click(timeout=SLOW_MS)
    expect(page.get_by_text("999 closed bars")).to_be_visible(timeout=SLOW_MS)
    page.get_by_text("Second opinion").click()
    expect(page.get_by_role("region", name="Our tests beside the libraries' own")).to_be_visible(
        timeout=SLOW_MS
    )


@pytest.mark.parametrize(
    ("tab", "start", "shown"),
    [
        ("Walk-forward", "Run the walk-forward", "Net equity"),
        ("Luck", "Draw", "Net PnL on spreads without reversion"),
    ],
)
def test_long_work_of_the_backtest_page_ends_in_a_figure(page, server, tab, start, shown):
    page.goto(f"{server.url}/backtest?tab={tab}&gates=warm")
    button(page, start).click(timeout=SLOW_MS)
    expect(page.get_by_text(shown).first).to_be_visible(timeout=SLOW_MS)
    settled(page)


def test_chart_of_a_backtest_is_changed_in_place_and_keeps_its_zoom(page, server):
    page.goto(f"{server.url}/backtest?gates=warm")
    chart = page.locator(".st-key-equity .js-plotly-plot")
    expect(chart.locator("path.js-line").first).to_be_visible(timeout=SLOW_MS)
    settled(page)
    range_of = "plot => plot._fullLayout.xaxis.range.map(String)"
    net = "plot => plot.querySelectorAll('path.js-line')[1].getAttribute('d')"
    whole = chart.evaluate(range_of)
    chart.evaluate("plot => { plot.isTheSame = true; }")
    box = chart.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 120)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + 125, steps=5)
    page.mouse.up()
    page.wait_for_function(
        "whole => String(document.querySelector('.st-key-equity .js-plotly-plot')"
        "._fullLayout.xaxis.range) !== String(whole)",
        arg=whole,
    )
    near, before = chart.evaluate(range_of), chart.evaluate(net)
    entry = page.get_by_role("spinbutton", name="Entry |z|")
    entry.fill("1.5")
    entry.press("Enter")
    page.wait_for_function(
        "before => document.querySelectorAll('.st-key-equity path.js-line')[1]"
        ".getAttribute('d') !== before",
        arg=before,
        timeout=SLOW_MS,
    )
    assert chart.evaluate("plot => plot.isTheSame") is True
    assert chart.evaluate(range_of) == near
    page.locator(".st-key-equity .ps-wide").click()
    page.wait_for_function("document.fullscreenElement?.classList.contains('pairs-still')")
    page.wait_for_function(
        "document.querySelector('.st-key-equity .js-plotly-plot')._fullLayout.height > 1000"
    )
    page.keyboard.press("Escape")
    page.evaluate("document.fullscreenElement && document.exitFullscreen()")
    page.wait_for_function(
        "document.querySelector('.st-key-equity .js-plotly-plot')._fullLayout.height < 500"
    )
    page.get_by_test_id("stButtonGroup").get_by_text("1,000", exact=True).click()
    page.wait_for_function(
        "near => String(document.querySelector('.st-key-equity .js-plotly-plot')"
        "._fullLayout.xaxis.range) !== String(near)",
        arg=near,
        timeout=SLOW_MS,
    )


COUNT_DRAWINGS = """() => {
  const plotly = window.Plotly;
  window.drawn = [];
  window.Plotly = Object.create(plotly, { react: { value: (plot, ...rest) => {
    if (plot.closest('.st-key-equity')) window.drawn.push(performance.now());
    return plotly.react(plot, ...rest);
  } } });
}"""


@pytest.mark.parametrize("line", ["whole", "cut"])
def test_figure_comes_by_the_short_way_once_and_without_it_with_the_page(page, server, line):
    messages = []
    if line == "cut":
        page.route_web_socket(re.compile("/ui/figures"), lambda socket: socket.close())

    def note(socket):
        if "/ui/figures" in socket.url:
            socket.on("framereceived", lambda text: messages.append(json.loads(text)))

    page.on("websocket", note)
    page.goto(f"{server.url}/backtest?gates=warm")
    chart = page.locator(".st-key-equity .js-plotly-plot")
    expect(chart.locator("path.js-line").first).to_be_visible(timeout=SLOW_MS)
    settled(page)
    page.evaluate(COUNT_DRAWINGS)
    pnl = page.get_by_test_id("stMetricValue").first
    before = pnl.inner_text()
    entry = page.get_by_role("spinbutton", name="Entry |z|")
    entry.fill("1.5")
    entry.press("Enter")
    expect(pnl).not_to_have_text(before, timeout=SLOW_MS)
    settled(page)
    page.wait_for_timeout(500)
    assert len(page.evaluate("window.drawn")) == 1
    sent = [message for message in messages if message["key"] == "equity"]
    assert [message["serial"] for message in sent] == ([2] if line == "whole" else [])
    shown = chart.evaluate("plot => plot.layout.shapes.length")
    assert not sent or shown == len(sent[0]["figure"]["layout"]["shapes"])


def test_bars_used_by_the_backtest_are_bars(page, server):
    page.goto(f"{server.url}/backtest")
    expect(button(page, "Bars used")).to_be_visible(timeout=SLOW_MS)
    with page.expect_download(timeout=SLOW_MS) as download:
        button(page, "Bars used").click()
    assert download.value.suggested_filename.endswith(".simulated.csv")
    with open(download.value.path(), encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0][:2] == ["ts", "time"] and len(rows) > 1000
    assert len({len(row) for row in rows}) == 1


def test_alert_is_edited_and_a_wrong_target_is_refused(page, server):
    page.goto(f"{server.url}/alerts")
    button(page, "Edit").first.click(timeout=SLOW_MS)
    page.get_by_role("spinbutton", name="Threshold").fill("2.7")
    button(page, "Save").last.click()
    expect(page.get_by_text("z-score ≥ ±2.7")).to_be_visible(timeout=SLOW_MS)
    assert httpx.get(f"{server.url}/api/alerts").json()["alerts"][0]["threshold"] == 2.7
    page.get_by_text("Sound", exact=True).click()
    target = page.get_by_label("Add a target").last
    target.fill("nonsense")
    button(page, "Add").click()
    expect(page.get_by_test_id("stMain").get_by_test_id("stAlert").first).to_be_visible(
        timeout=SLOW_MS
    )


def test_history_is_fetched_from_the_data_page(page, server):
    page.goto(f"{server.url}/data")
    page.get_by_role("radio", name="1 day").click(timeout=SLOW_MS)
    button(page, "Fetch").click(timeout=SLOW_MS)
    expect(page.get_by_text("fetched", exact=False).first).to_be_visible(timeout=SLOW_MS)
    settled(page)


def test_scan_again_and_try_binance_again_answer(page, server):
    page.goto(f"{server.url}/scanner")
    button(page, "Scan again").click(timeout=SLOW_MS)
    expect(page.get_by_text("6 pairs tested")).to_be_visible(timeout=SLOW_MS)
    button(page, "Try Binance again").click()
    # Where tests run Binance may or may not be there; an answer in words there has to be.
    toast = page.get_by_test_id("stToast").first
    expect(toast).to_contain_text("Binance", timeout=SLOW_MS)


def test_channel_is_added_tried_and_removed(page, server):
    receiver = Receiver()
    try:
        page.goto(f"{server.url}/alerts")
        page.get_by_label("Add a target").last.fill(f"webhook+http://127.0.0.1:{receiver.port}/in")
        button(page, "Add").click()
        button(page, "Test").click(timeout=SLOW_MS)
        receiver.expect(1)
        expect(page.get_by_test_id("stToast").first).to_contain_text("Test sent", timeout=SLOW_MS)
        button(page, "Remove").click()
        expect(page.get_by_text("Alerts are shown here only")).to_be_visible(timeout=SLOW_MS)
    finally:
        receiver.close()


def test_live_record_compares_and_checks_itself(page, server):
    page.goto(f"{server.url}/backtest?tab=Live+record")
    button(page, "Compare").click(timeout=SLOW_MS)
    said = page.get_by_text("rows agree").or_(page.get_by_text("The ledger holds nothing"))
    expect(said.first).to_be_visible(timeout=SLOW_MS)
    button(page, "Check this data").click()
    expect(page.get_by_text("No look-ahead found").first).to_be_visible(timeout=SLOW_MS)
    settled(page)


def test_candles_of_a_file_are_imported(page, exchange_server, tmp_path):
    """Two good rows of an old day and a broken one: the good ones are stored, the other is told."""
    times = (1_735_689_600_000, 1_735_689_660_000)
    rows = [f"{ts},10,12,9,11,5,{ts + 59_999},55,7,1,11,0" for ts in times]
    file = tmp_path / "BTCUSDT-1m-2025-01-01.csv"
    file.write_text("\n".join([*rows, "nonsense"]) + "\n")
    page.goto(f"{exchange_server.url}/data")
    page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(str(file), timeout=SLOW_MS)
    button(page, "Import").click(timeout=SLOW_MS)
    told = page.get_by_text("gave 2 bars")
    expect(told.first).to_be_visible(timeout=SLOW_MS)
    expect(told.first).to_contain_text("1 rows that cannot be used")
    stored = httpx.get(
        f"{exchange_server.url}/api/bars",
        params={"symbol": "BTCUSDT", "timeframe": "1m", "end": 1_735_689_720_000},
    ).json()["bars"]
    assert [bar["close"] for bar in stored] == [11.0, 11.0]
    expect(page.get_by_text("Not while the exchange is simulated")).to_have_count(0)


def test_api_documentation_is_drawn_without_a_network(page, server):
    foreign: list[str] = []
    page.on("request", lambda r: foreign.append(r.url) if server.url not in r.url else None)
    page.goto(f"{server.url}/api/docs")
    expect(
        page.get_by_text("/api/pair", exact=True).or_(page.get_by_text("/pair"))
    ).not_to_have_count(0, timeout=SLOW_MS)
    page.locator(".opblock-summary").first.click()
    expect(page.get_by_role("button", name="Try it out").first).to_be_visible()
    assert [url for url in foreign if not url.startswith("data:")] == []
