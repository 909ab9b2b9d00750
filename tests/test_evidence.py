"""The evidence program: its made-up pairs are what they are called, and it writes a whole page."""

import numpy as np
import pytest

from benchmarks import evidence
from benchmarks.evidence_pairs import (
    as_bars,
    candle_pairs,
    coarser,
    independent,
    read_candles,
    spread_step_bps,
    tied,
    untied,
)
from benchmarks.evidence_text import Size, mean
from model import Timeframe


def test_made_up_pairs_are_what_they_are_called():
    y, x = tied(np.random.default_rng(1), 200_000, half_life=20, sd_bps=40)
    spread = y - x
    assert spread.std() == pytest.approx(40e-4, rel=0.05)
    assert np.corrcoef(spread[20:], spread[:-20])[0, 1] == pytest.approx(0.5, abs=0.02)
    assert np.diff(spread).std() == pytest.approx(spread_step_bps(20, 40) / 1e4, rel=0.02)
    y, x = untied(np.random.default_rng(1), 100_000, step_bps=7)
    assert np.diff(y - x).std() == pytest.approx(7e-4, rel=0.02)
    y, x = independent(np.random.default_rng(1), 100_000, step_bps=5)
    assert np.diff(y).std() == pytest.approx(5e-4, rel=0.02)
    assert abs(np.corrcoef(np.diff(y), np.diff(x))[0, 1]) < 0.02


def test_coarser_bars_are_the_minutes_added_up():
    minutes, _ = as_bars(independent(np.random.default_rng(2), 12))
    five = coarser(minutes, Timeframe.M5)
    assert five.ts.tolist() == [minutes.ts[0], minutes.ts[5], minutes.ts[10]]
    assert five.open.tolist() == [minutes.open[0], minutes.open[5], minutes.open[10]]
    assert five.close.tolist() == [minutes.close[4], minutes.close[9], minutes.close[11]]
    assert five.high[1] == minutes.high[5:10].max()
    assert five.low[1] == minutes.low[5:10].min()
    assert five.volume.tolist() == [5, 5, 2]


def write_candles(folder, symbol, closes):
    lines = ["datetime,open,high,low,close,volume"]
    for row, close in enumerate(closes):
        day, minute = divmod(row, 1_440)
        when = f"2024-01-{day + 1:02d} {minute // 60:02d}:{minute % 60:02d}:00"
        lines.append(f"{when},{close},{close},{close},{close},1.5")
    (folder / f"{symbol}_1min.csv").write_text("\n".join(lines) + "\n")


def test_candle_files_are_read_as_utc_minutes(tmp_path):
    write_candles(tmp_path, "BTCUSDT", [100.0, 101.5, 99.0])
    bars = read_candles(tmp_path / "BTCUSDT_1min.csv")
    assert bars.symbol == "BTCUSDT"
    assert bars.ts.tolist() == [1_704_067_200_000 + 60_000 * row for row in range(3)]
    assert bars.close.tolist() == [100.0, 101.5, 99.0]
    assert bars.volume.tolist() == [1.5] * 3


def test_main_writes_every_section(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(evidence, "QUICK", Size(2, 2, 2, 1))
    y, x = np.exp(tied(np.random.default_rng(3), 2_000, half_life=20, sd_bps=40))
    write_candles(tmp_path, "BTCUSDT", y)
    write_candles(tmp_path, "ETHUSDT", x)
    ((name, *_),) = candle_pairs(tmp_path)
    assert name == "BTC/ETH"
    page = tmp_path / "EVIDENCE.md"
    assert evidence.main(["--quick", "--candles", str(tmp_path), "--out", str(page)]) == 0
    text = page.read_text()
    assert text.count("\n## ") == 6
    assert "* *real*: spot candles of one minute, 2024-01-01T00:00 to 2024-01-02T09:19 UTC" in text
    assert "| real BTC/ETH | kalman |" in text
    assert "nan" not in text
    assert text.split("\n## ")[1].strip() in capsys.readouterr().out


def test_mean_of_too_few_is_a_dash():
    assert mean(np.array([1.0, np.nan])) == "–"
