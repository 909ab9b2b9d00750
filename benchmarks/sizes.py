"""The README's table of sizes, made of what the part `postgres` measured."""

from pathlib import Path

from benchmarks.report import digits, load

BEGIN, END = "<!-- sizes: made by `make bench` -->", "<!-- end of sizes -->"
DAY_S = 86_400
TRADE_DAYS, SECOND_DAYS = 3, 30
# Trades a second of all symbols together, symbols.
CASES = ((50, 4), (500, 10), (5_000, 30), (20_000, 50))


def render(results: Path) -> str:
    """Return the table as Markdown, markers included."""
    figures = load(results / "postgres.json")["section"].figures
    lines = [
        BEGIN,
        "| trades a second | symbols | a day, SQLite · PostgreSQL | kept with the defaults "
        f"({TRADE_DAYS} days of trades, {SECOND_DAYS} of 1s bars) |",
        "|---|---|---|---|",
    ]
    for rate, symbols in CASES:
        day, kept = [], []
        for name in ("SQLite", "PostgreSQL"):
            trades = rate * DAY_S * figures["bytes_a_trade"][name] / 1e9
            bars = symbols * DAY_S * figures["bytes_a_bar"][name] / 1e9
            day.append(digits(trades + bars))
            kept.append(digits(TRADE_DAYS * trades + SECOND_DAYS * bars))
        lines.append(f"| {rate:,} | {symbols} | {' · '.join(day)} GB | {' · '.join(kept)} GB |")
    trade, bar, rates = (
        (figures[name]["SQLite"], figures[name]["PostgreSQL"])
        for name in ("bytes_a_trade", "bytes_a_bar", "trades_a_second")
    )
    lines += [
        "",
        f"A trade takes {trade[0]:.0f} bytes in SQLite and {trade[1]:.0f} in PostgreSQL with the "
        f"bars made of it, a bar {bar[0]:.0f} and {bar[1]:.0f}. The writer was measured at "
        f"{rates[0]:,.0f} and {rates[1]:,.0f} trades a second "
        "([benchmarks/RESULTS.md](benchmarks/RESULTS.md)): more than that is too much.",
        END,
    ]
    return "\n".join(lines)


def replaced(text: str, results: Path) -> str:
    """Return the README's text with the table of now."""
    if BEGIN not in text or not (results / "postgres.json").exists():
        return text
    before, rest = text.split(BEGIN, 1)
    return before + render(results) + rest.split(END, 1)[1]
