// The linked charts as a Plotly figure: one time axis, one panel per question. Pure.

import * as format from "./format.js";
import { lowerBound } from "./state.js";
import { qualityName } from "./tables.js";

export const MARGIN = { l: 6, r: 66, t: 6, b: 36 };
const GAP = 0.016;
const TITLE_PX = 22;
const STOP_KINDS = new Set(["stop", "timeout", "gap", "end"]);

/** Rows [first, end) with a hole wherever bars are missing, so that no line bridges a gap. */
export function rowsOf(series, barMs, first = 0, end = series.ts.length) {
  const index = [];
  const ts = [];
  for (let i = first; i < end; i += 1) {
    if (i > first && series.ts[i] - series.ts[i - 1] > barMs) {
      index.push(-1);
      ts.push(series.ts[i - 1] + barMs);
    }
    index.push(i);
    ts.push(series.ts[i]);
  }
  return { index, ts };
}

const pick = (rows, values) => rows.index.map((i) => (i < 0 ? null : values?.[i] ?? null));

/** Range of the columns over rows [from, to); `head` is the share left free for the panel's title. */
function extent(columns, from, to, head, include = []) {
  let low = Infinity;
  let high = -Infinity;
  const see = (value) => {
    if (!format.known(value)) return;
    if (value < low) low = value;
    if (value > high) high = value;
  };
  for (const values of columns) for (let i = from; i < to; i += 1) see(values[i]);
  const isEmpty = low > high;
  include.forEach(see);
  if (low > high) return [0, 1];
  const size = high - low || (isEmpty ? 1 : Math.abs(high) * 2e-4) || 2e-6;
  return [low - size * 0.06, high + (size * 1.06 * head) / (1 - head)];
}

const sum = (a, b, k) => a.map((value, i) =>
  (format.known(value) && format.known(b[i]) ? value + k * b[i] : null));

function line(x, y, axis, color, more = {}) {
  return { type: "scatter", mode: "lines", x, y, xaxis: "x", yaxis: axis, hoverinfo: "skip",
    line: { color, width: 1.4, ...more.line }, connectgaps: false, ...more.trace };
}

function band(x, low, high, axis, color) {
  const edge = { width: 0, color };
  return [line(x, low, axis, color, { line: edge }),
    line(x, high, axis, color, { line: edge, trace: { fill: "tonexty", fillcolor: color } })];
}

function legsPanel(ctx) {
  const { rows, series, palette, from, to } = ctx;
  const base = ["price_y", "price_x"].map((name) => {
    for (let i = from; i < to; i += 1) {
      const value = rows.index[i] < 0 ? null : series[name][rows.index[i]];
      if (format.known(value) && value) return value;
    }
    return null;
  });
  const scaled = ["price_y", "price_x"].map((name, k) =>
    pick(rows, series[name]).map((value) => (value && base[k] ? (100 * value) / base[k] : null)));
  return {
    id: "legs", weight: 1.5, title: "Legs, first bar shown = 100", columns: scaled,
    traces: (axis) => scaled.map((values, k) => line(ctx.x, values, axis, [palette.y, palette.x][k])),
    tags: [[scaled[0], palette.y, (v) => format.number(v, 2)], [scaled[1], palette.x, (v) => format.number(v, 2)]],
    read: (i) => [
      [ctx.names.y, format.price(series.price_y[i]), "y"],
      [ctx.names.x, format.price(series.price_x[i]), "x"],
      ["quality", qualityName(series.quality[i]), null]],
  };
}

function candlePanel(ctx, leg) {
  const symbol = ctx.names[leg];
  const candles = ctx.candles[symbol];
  const color = ctx.palette[leg];
  if (!candles?.ts?.length) {
    return { id: `candles_${leg}`, weight: 1.2, title: `${symbol}: no candles yet`, columns: [],
      traces: () => [], tags: [], read: () => [] };
  }
  const own = (name) => {
    const values = candles[name];
    return ctx.rows.ts.map((at, k) => {
      const i = ctx.rows.index[k] < 0 ? -1 : lowerBound(candles.ts, at);
      return i >= 0 && candles.ts[i] === at ? values[i] : null;
    });
  };
  const [open, high, low, close] = ["open", "high", "low", "close"].map(own);
  const at = (i) => ctx.rows.index.indexOf(i);
  return {
    id: `candles_${leg}`, weight: 1.3, title: symbol, columns: [low, high],
    traces: (axis) => [{
      type: "candlestick", x: ctx.x, open, high, low, close, xaxis: "x", yaxis: axis,
      hoverinfo: "skip", line: { width: 1 },
      increasing: { line: { color }, fillcolor: "rgba(0,0,0,0)" },
      decreasing: { line: { color }, fillcolor: color },
    }],
    tags: [[close, color, format.price]],
    read: (i) => {
      const k = at(i);
      return [["O", format.price(open[k]), leg], ["H", format.price(high[k]), leg],
        ["L", format.price(low[k]), leg], ["C", format.price(close[k]), leg]];
    },
  };
}

function spreadPanel(ctx) {
  const { rows, series, palette, params } = ctx;
  const [spread, mean, sd] = ["spread", "mean", "sd"].map((name) => pick(rows, series[name]));
  const upper = sum(mean, sd, params.entry);
  const lower = sum(mean, sd, -params.entry);
  return {
    id: "spread", weight: 1.15, title: `Spread, mean ± ${params.entry} sd`, columns: [spread, upper, lower],
    traces: (axis) => [...band(ctx.x, lower, upper, axis, palette.band),
      line(ctx.x, mean, axis, palette.muted, { line: { width: 1, dash: "dot" } }),
      line(ctx.x, spread, axis, palette.ink)],
    tags: [[spread, palette.ink, (v) => format.significant(v, 3)]],
    read: (i) => [["spread", format.significant(series.spread[i], 4), null],
      ["mean", format.significant(series.mean[i], 4), "muted"],
      ["sd", format.significant(series.sd[i]), "muted"]],
  };
}

function zPanel(ctx) {
  const { rows, series, palette, params } = ctx;
  const z = pick(rows, series.zscore);
  const marks = ctx.marks.filter((mark) => mark.ts >= rows.ts[0] && format.known(mark.zscore));
  const isLong = (mark) => mark.side === "LONG" || mark.side === 1;
  const symbolOf = (mark) => {
    if (mark.kind === "entry") return isLong(mark) ? "triangle-up" : "triangle-down";
    return STOP_KINDS.has(mark.kind) ? "x" : "circle-open";
  };
  const levels = [[params.entry, palette.short, "dash"], [-params.entry, palette.long, "dash"],
    [params.exit, palette.muted, "dot"], [-params.exit, palette.muted, "dot"]];
  if (params.stop) levels.push([params.stop, palette.bad, "longdash"], [-params.stop, palette.bad, "longdash"]);
  return {
    id: "zscore", weight: 1.35, title: "z-score, entry · exit · stop", columns: [z], levels,
    include: [params.entry * 1.12, -params.entry * 1.12],
    traces: (axis) => [line(ctx.x, z, axis, palette.ink),
      { type: "scatter", mode: "markers", xaxis: "x", yaxis: axis, hoverinfo: "skip",
        x: marks.map((mark) => ctx.shift(mark.ts)), y: marks.map((mark) => mark.zscore),
        marker: { symbol: marks.map(symbolOf), size: marks.map((m) => (m.kind === "entry" ? 11 : 9)),
          color: marks.map((m) => (isLong(m) ? palette.long : palette.short)),
          line: { width: marks.map((m) => (m.kind === "entry" ? 1 : 2)),
            color: marks.map((m) => (m.kind === "entry" ? palette.paper : isLong(m) ? palette.long : palette.short)) } } }],
    tags: [[z, palette.ink, (v) => format.number(v, 2, { sign: true })]],
    read: (i) => {
      const mark = marks.find((one) => one.ts === series.ts[i]);
      const rest = mark ? [[mark.kind, String(mark.side).toLowerCase(), isLong(mark) ? "long" : "short"]] : [];
      return [["z", format.number(series.zscore[i], 3, { sign: true }), null], ...rest];
    },
  };
}

function correlationPanel(ctx) {
  const { rows, series, palette, params } = ctx;
  const values = pick(rows, series.correlation);
  return {
    id: "correlation", weight: 0.75, title: `Correlation, at least ${params.min_correlation}`,
    columns: [values], levels: [[params.min_correlation, palette.warning, "dash"]],
    include: [params.min_correlation],
    traces: (axis) => [line(ctx.x, values, axis, palette.ink)],
    tags: [[values, palette.ink, (v) => format.number(v, 2)]],
    read: (i) => [["ρ", format.number(series.correlation[i], 3), null]],
  };
}

function betaPanel(ctx) {
  const { rows, series, palette } = ctx;
  const [ols, kalman, se] = ["beta_ols", "beta_kalman", "beta_kalman_se"].map((n) => pick(rows, series[n]));
  const [upper, lower] = [sum(kalman, se, 2), sum(kalman, se, -2)];
  return {
    id: "beta", weight: 0.9, title: "β: OLS and Kalman ± 2 s.e.", columns: [ols, kalman],
    traces: (axis) => [...band(ctx.x, lower, upper, axis, palette.kalmanBand),
      line(ctx.x, kalman, axis, palette.kalman), line(ctx.x, ols, axis, palette.ink, { line: { dash: "dot" } })],
    tags: [[kalman, palette.kalman, (v) => format.number(v, 3)], [ols, palette.ink, (v) => format.number(v, 3)]],
    read: (i) => [["OLS", format.number(series.beta_ols[i], 4), null],
      ["Kalman", `${format.number(series.beta_kalman[i], 4)} ± ${format.number(2 * (series.beta_kalman_se[i] ?? NaN), 4)}`, "kalman"]],
  };
}

/**
 * Build the figure.
 * @param ctx {rows, x, shift, series, candles, marks, names, params, palette, mode,
 *             from, to: visible rows, range: [lo, hi] as drawn, width, height, isTouch}
 */
export function figure(ctx) {
  const legs = ctx.mode === "candles" ? [candlePanel(ctx, "y"), candlePanel(ctx, "x")] : [legsPanel(ctx)];
  const panels = [...legs, spreadPanel(ctx), zPanel(ctx), correlationPanel(ctx), betaPanel(ctx)];
  const { palette } = ctx;
  const total = panels.reduce((all, panel) => all + panel.weight, 0);
  const room = 1 - GAP * (panels.length - 1);
  const layout = {
    width: ctx.width, height: ctx.height, margin: { ...MARGIN, pad: 0 }, autosize: false,
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false,
    hovermode: false, dragmode: ctx.isTouch ? false : "zoom", uirevision: "pairs",
    font: { family: palette.font, size: 11, color: palette.muted },
    xaxis: { type: "date", range: ctx.range, anchor: axisName(panels.length - 1, "y"),
      gridcolor: palette.grid, zeroline: false, showline: false, ticks: "", rangeslider: { visible: false },
      tickformatstops: TICK_FORMATS, uirevision: ctx.range.join() },
    shapes: [],
  };
  const traces = [];
  let top = 1;
  panels.forEach((panel, k) => {
    const size = (panel.weight / total) * room;
    panel.domain = [Math.max(0, top - size), top];
    top -= size + GAP;
    const head = TITLE_PX / (size * (ctx.height - MARGIN.t - MARGIN.b));
    const seen = (also) => extent(panel.columns, ctx.from, ctx.to, Math.min(0.4, head),
      [...(panel.include ?? []), ...also]);
    const [low, high] = seen([]);
    // A level that just shows must not cross the panel's title.
    panel.range = seen((panel.levels ?? []).map(([level]) => level).filter((level) => level > low && level < high));
    const axis = axisName(k, "y");
    layout[axisName(k, "yaxis")] = {
      domain: panel.domain, range: panel.range, side: "right", fixedrange: true, anchor: "x",
      gridcolor: palette.grid, zeroline: false, nticks: panel.weight > 1 ? 6 : 4, tickfont: { size: 10.5 },
      showline: false, ticks: "", separatethousands: true, uirevision: panel.range.join(),
    };
    for (const [level, color, dash] of panel.levels ?? []) {
      layout.shapes.push({ type: "line", xref: "paper", x0: 0, x1: 1, yref: axis, y0: level, y1: level,
        line: { color, width: 1, dash }, layer: "below" });
    }
    traces.push(...panel.traces(axis));
  });
  return { traces, layout, panels };
}

const axisName = (k, stem) => (k === 0 ? stem : `${stem}${k + 1}`);

const TICK_FORMATS = [
  { dtickrange: [null, 1_000], value: "%H:%M:%S.%L" },
  { dtickrange: [1_000, 60_000], value: "%H:%M:%S" },
  { dtickrange: [60_000, 86_400_000], value: "%H:%M\n%e %b" },
  { dtickrange: [86_400_000, null], value: "%e %b\n%Y" },
];
