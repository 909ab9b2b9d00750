"""The other pages in Chromium: reached every way, every control used, every download opened."""

import csv
import io
import json
import re
import zipfile

import httpx
import plotly.graph_objects as go
import pytest

from analytics.trades import COLUMNS
from tests.browser_server import CHROMIUM

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
PAGES = {
    "research": "Is BTCUSDT / ETHUSDT a pair?",
    "scanner": "Scanner, 1m",
    "backtest": "Backtest of BTCUSDT against ETHUSDT",
    "alerts": "Alerts",
    "data": "Data",
    "methods": "Methods",
}


FIGURE_COUNT = {"research": 4, "scanner": 1, "backtest": 3, "data": 2}
# As the library holds them; what it has added for itself begins with a line.
FIGURES = """() => JSON.stringify([...document.querySelectorAll('.pairs-still .js-plotly-plot')]
  .map(({ data, layout }) => ({ data, layout })), (key, value) =>
    key.startsWith('_') ? undefined : ArrayBuffer.isView(value) ? [...value] : value)"""


@pytest.fixture(scope="session")
def browser_context_args():
    return {"viewport": {"width": 1280, "height": 1600}}


def heading(page, text: str):
    return page.get_by_role("heading", name=text).first


def settled(page) -> None:
    """Wait until the page's script has run, then look for anything that went wrong."""
    page.wait_for_selector(
        '[data-testid="stApp"][data-test-script-state="notRunning"]', timeout=SLOW_MS
    )
    assert page.get_by_test_id("stException").count() == 0
    wrong = [text for text in page.get_by_test_id("stAlert").all_inner_texts() if "failed" in text]
    assert not wrong
    for figure in json.loads(page.evaluate(FIGURES)):
        go.Figure(figure)  # refuses names and values that Plotly does not know


@pytest.mark.parametrize("name", PAGES)
def test_page_opens_by_link_and_by_reload(page, server, name):
    page.goto(f"{server.url}/{name}")
    expect(heading(page, PAGES[name])).to_be_visible(timeout=SLOW_MS)
    figures = page.locator(".pairs-still .js-plotly-plot")
    expect(figures).to_have_count(FIGURE_COUNT.get(name, 0), timeout=SLOW_MS)
    settled(page)
    expect(page.locator(".st-key-simulated_banner")).to_be_visible()
    page.reload()
    expect(heading(page, PAGES[name])).to_be_visible(timeout=SLOW_MS)
    leg = page.get_by_role("combobox", name="Y – traded leg")
    expect(leg).to_have_value("BTCUSDT", timeout=SLOW_MS)


def test_pages_are_reached_by_the_sidebar_and_keep_the_rule(page, server):
    page.goto(f"{server.url}/?window=80&gates=warm,fresh")
    expect(page.get_by_role("spinbutton", name="Window (bars)")).to_have_value("80")
    settled(page)
    for name, title in PAGES.items():
        page.get_by_role("link", name=name.capitalize(), exact=True).click()
        expect(heading(page, title)).to_be_visible(timeout=SLOW_MS)
        settled(page)
        assert "window=80" in page.url
        assert "gates=warm%2Cfresh" in page.url


def download(page, button: str) -> tuple[str, bytes]:
    with page.expect_download(timeout=SLOW_MS) as waited:
        page.get_by_role("button", name=button, exact=True).click()
    with open(waited.value.path(), "rb") as file:
        return waited.value.suggested_filename, file.read()


def rows_of(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode())))


def test_backtest_downloads_agree_with_the_api(page, server):
    page.goto(f"{server.url}/backtest?gates=warm")
    expect(page.get_by_role("button", name="Trades", exact=True)).to_be_visible(timeout=SLOW_MS)
    name, data = download(page, "Trades")
    trades = rows_of(data)
    assert name == "backtest_pnl.simulated.csv" and trades[0] == list(COLUMNS) and len(trades) > 3
    name, data = download(page, "Equity")
    equity = rows_of(data)
    assert name == "backtest_equity.simulated.csv"
    assert equity[0] == ["ts", "gross", "net", "drawdown"] and len(equity) > 1000
    name, data = download(page, "Everything")
    archive = zipfile.ZipFile(io.BytesIO(data))
    assert archive.testzip() is None
    about = json.loads(archive.read("about.json"))
    assert about["simulated"] is True and about["parameters"]["gates"] == ["warm"]
    assert b"https://" not in archive.read("report.html")
    net = trades[0].index("net_pnl")
    total = sum(float(row[net]) for row in trades[1:])
    assert total == pytest.approx(float(equity[-1][2]) - 10_000, abs=1e-6)
    span = {"start": about["span"]["first_ts"], "end": about["span"]["last_ts"]}
    answer = httpx.get(f"{server.url}/api/backtest", params={"gates": "warm", **span}, timeout=60)
    assert answer.status_code == 200


def click_square(page, chart, wanted: str) -> None:
    """Click the first square of a heatmap whose tip fulfils a condition."""
    at = chart.evaluate(
        """(plot, wanted) => {
          const is = new Function("tip", `return ${wanted}`);
          const tips = plot.data[0].hovertext.flat(), wide = plot.data[0].hovertext[0].length;
          const k = tips.findIndex(is), { xaxis, yaxis } = plot._fullLayout;
          const box = plot.getBoundingClientRect();
          return [box.x + xaxis._offset + xaxis.c2p(k % wide),
                  box.y + yaxis._offset + yaxis.c2p(Math.floor(k / wide))];
        }""",
        wanted,
    )
    page.mouse.click(*at)


def test_sweep_runs_and_a_cell_loads_into_the_sidebar(page, server):
    page.goto(f"{server.url}/backtest?tab=Sweep&gates=warm")
    page.get_by_role("button", name="Run the sweep").click(timeout=SLOW_MS)
    expect(page.get_by_text("Best cell", exact=True)).to_be_visible(timeout=SLOW_MS)
    chart = page.locator(".st-key-sweep_map .js-plotly-plot")
    chart.scroll_into_view_if_needed()
    # The address would say nothing of the defaults.
    click_square(page, chart, "!/^window 60, entry 2,/.test(tip)")
    page.wait_for_function("/window=|entry=/.test(location.search)", timeout=SLOW_MS)


def test_alert_is_made_paused_and_deleted(page, server):
    page.goto(f"{server.url}/alerts")
    before = len(httpx.get(f"{server.url}/api/alerts").json()["alerts"])
    page.get_by_role("button", name="New alert").click(timeout=SLOW_MS)
    page.get_by_role("spinbutton", name="Threshold").fill("3.5")
    page.get_by_role("button", name="Save", exact=True).last.click()
    expect(page.get_by_text("z-score ≥ ±3.5")).to_be_visible(timeout=SLOW_MS)
    rules = httpx.get(f"{server.url}/api/alerts").json()["alerts"]
    assert len(rules) == before + 1 and rules[-1]["threshold"] == 3.5
    page.get_by_role("button", name="Pause", exact=True).last.click()
    expect(page.get_by_text("paused", exact=True)).to_be_visible(timeout=SLOW_MS)
    page.get_by_role("button", name="Delete", exact=True).last.click()
    expect(page.get_by_text("z-score ≥ ±3.5")).to_be_hidden(timeout=SLOW_MS)


def test_alert_that_contradicts_itself_is_refused_in_words(page, server):
    page.goto(f"{server.url}/alerts")
    page.get_by_role("button", name="New alert").click(timeout=SLOW_MS)
    page.get_by_role("spinbutton", name="Threshold").fill("1")
    page.get_by_role("spinbutton", name="Clears at").fill("5")
    page.get_by_role("button", name="Save", exact=True).last.click()
    expect(page.get_by_role("dialog").get_by_test_id("stAlert")).to_be_visible(timeout=SLOW_MS)


def test_export_link_of_the_data_page_gives_the_file(page, server):
    page.goto(f"{server.url}/data")
    link = page.get_by_role("link", name="Download")
    expect(link).to_be_visible(timeout=SLOW_MS)
    address = link.get_attribute("href")
    answer = httpx.get(address if address.startswith("http") else server.url + address, timeout=60)
    assert answer.status_code == 200
    rows = rows_of(answer.content)
    assert rows[0][:4] == ["ts", "time", "symbol", "timeframe"] and len(rows) > 100


def test_scanner_opens_the_pair_that_is_clicked(page, server):
    page.goto(f"{server.url}/scanner")
    chart = page.locator(".st-key-scan_map .js-plotly-plot")
    expect(chart).to_be_visible(timeout=SLOW_MS)
    # The default pair's address would say nothing of it.
    click_square(page, chart, "!/BTC.*ETH/.test(tip) && tip")
    page.wait_for_function("window.__live && window.__live.updates > 1", timeout=SLOW_MS)
    expect(page).to_have_url(re.compile("[?&][yx]="), timeout=SLOW_MS)


def test_rule_is_made_the_running_one(page, server):
    page.goto(f"{server.url}/methods?window=60")
    page.get_by_role("button", name="Use for alerts and paper trading").click(timeout=SLOW_MS)
    expect(page.get_by_text("This is the running rule.")).to_be_visible(timeout=SLOW_MS)
    assert httpx.get(f"{server.url}/api/config").json()["window"] == 60


@pytest.mark.parametrize("name", ["", *PAGES])
def test_no_serious_accessibility_fault(page, server, name):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe is not installed"
    )
    page.goto(f"{server.url}/{name}")
    if name:
        expect(heading(page, PAGES[name])).to_be_visible(timeout=SLOW_MS)
        settled(page)
    else:
        page.wait_for_function("window.__live && window.__live.draws > 0", timeout=SLOW_MS)
    found = axe.Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    ours = [
        f"{fault['id']}: {node['html'][:200]}"
        for fault in found
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    ]
    assert ours == []
