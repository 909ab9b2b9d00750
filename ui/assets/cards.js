// Metric cards: value, what it is compared with, a sparkline, a flash on change.

import { flash, make, setAttribute, setText, svg } from "./element.js";
import * as format from "./format.js";

const WIDTH = 120;
const HEIGHT = 26;
const POINTS = 60;

const last = (values) => (values?.length ? values[values.length - 1] : null);
const column = (view, name) => view.state.series?.[name];
const newest = (view, name) => last(column(view, name)) ?? null;
const range = (low, high, show) =>
  `${show(low)} – ${format.known(high) ? show(high) : "open"}`;

function legPrice(view, leg) {
  const ticks = view.state.ticks[view.state.snapshot?.[leg]];
  return ticks?.length ? last(ticks)[1] : newest(view, `price_${leg}`);
}

function legNote(view, leg) {
  const symbol = view.state.snapshot?.[leg];
  const at = view.state.status?.symbols?.[symbol]?.last_ts;
  return format.known(at) ? `last trade ${format.time(at, view.isLocal)}` : "no trade yet";
}

const METHOD_NAMES = { ols: "OLS", static: "static", kalman: "Kalman", tls: "TLS", fixed: "fixed" };

// Each: what it is called, one sentence, its number, how it is written, and what stands below it.
const CARDS = [
  {
    id: "price_y", title: (s) => s?.y ?? "Y", anchor: "bars", leg: "y", spark: "price_y", tone: "y",
    help: "Last trade of the dependent leg Y.",
    value: (v) => legPrice(v, "y"), show: format.price, note: (v) => legNote(v, "y"),
  },
  {
    id: "price_x", title: (s) => s?.x ?? "X", anchor: "bars", leg: "x", spark: "price_x", tone: "x",
    help: "Last trade of the hedge leg X.",
    value: (v) => legPrice(v, "x"), show: format.price, note: (v) => legNote(v, "x"),
  },
  {
    id: "zscore", title: () => "z-score", anchor: "z-score", spark: "zscore", zero: true,
    help: "How many standard deviations the spread is from its mean, on the forming bar.",
    value: (v) => newest(v, "zscore"), show: (z) => format.number(z, 2, { sign: true }),
    note: (v) => `closed bar ${format.number(v.state.snapshot?.zscore, 2, { sign: true })}`
      + ` · entry ±${format.number(v.params.entry, 1)}`,
  },
  {
    id: "spread", title: () => "Spread", anchor: "spread", spark: "spread",
    help: "Y − α − β·X, in log prices unless raw is chosen.",
    value: (v) => newest(v, "spread"), show: (s) => format.significant(s, 4),
    note: (v) => `mean ${format.significant(newest(v, "mean"))} · sd ${format.significant(newest(v, "sd"))}`,
  },
  {
    id: "beta", title: (s) => `β ${METHOD_NAMES[s?.hedge_method] ?? ""}`, anchor: "hedge-ratio", spark: "beta",
    help: "Hedge ratio: how much of X offsets one of Y.",
    value: (v) => newest(v, "beta"), show: (b) => format.number(b, 4),
    note: (v) => `OLS ${format.number(v.state.snapshot?.ols?.beta, 3)}`
      + ` · Kalman ${format.number(v.state.snapshot?.kalman?.beta, 3)}`
      + ` ± ${format.number(2 * (v.state.snapshot?.kalman?.beta_se ?? NaN), 3)}`,
  },
  {
    id: "correlation", title: () => "Correlation", anchor: "correlation", spark: "correlation",
    help: "Pearson correlation of both legs' returns over the window.",
    value: (v) => newest(v, "correlation"), show: (c) => format.number(c, 3),
    note: (v) => `at least ${format.number(v.params.min_correlation, 2)} to enter`,
  },
  {
    id: "half_life", title: () => "Half-life", unit: "bars", anchor: "half-life",
    help: "Bars until half of a deviation is expected to be gone; 95 % interval below.",
    value: (v) => v.state.snapshot?.half_life_bars, show: (h) => format.number(h, 1),
    note: (v) => {
      const s = v.state.snapshot;
      return format.known(s?.half_life_bars)
        ? `95 %: ${range(s.half_life_low, s.half_life_high, (b) => format.number(b, 1))}`
        : "no reversion found";
    },
  },
  {
    id: "pvalue", title: () => "Cointegration p", anchor: "cointegration",
    help: "Engle–Granger p-value, Y on X: low means that the spread returns.",
    value: (v) => v.state.snapshot?.cointegration?.pvalue, show: format.significant,
    note: (v) => `reverse ${format.significant(v.state.snapshot?.cointegration?.reverse_pvalue)}`
      + ` · ADF ${format.significant(v.state.snapshot?.adf?.pvalue)}`,
    state: (v) => ({ true: "stationary", false: "not stationary" })[v.state.snapshot?.stationary],
  },
  {
    id: "hurst", title: () => "Hurst", anchor: "hurst",
    help: "Below 0.5 the spread reverts, above it trends.",
    value: (v) => v.state.snapshot?.hurst, show: (h) => format.number(h, 2),
    note: (v) => `β drift ${format.percent(v.state.snapshot?.beta_drift)}, limit 30 %`,
  },
  {
    id: "regime", title: () => "Regime", anchor: "regime", isText: true,
    help: "What the tests together say about the pair.",
    value: (v) => v.state.snapshot?.regime, show: (r) => (r ? r.replace("_", " ") : "–"),
    note: (v) => (format.known(v.state.snapshot?.stationary_share)
      ? `${format.percent(v.state.snapshot.stationary_share)} of recent tests passed` : "not tested yet"),
  },
];

const FUNDING = {
  id: "funding", title: () => "Funding 8 h", unit: "bps", anchor: "backtest",
  help: "Newest funding rate of Y: longs pay shorts. Below it X's, and when the next one is due.",
  value: (v) => v.state.snapshot?.funding?.y_bps, show: (f) => format.number(f, 2, { sign: true }),
  note: (v) => `X ${format.number(v.state.snapshot?.funding?.x_bps, 2, { sign: true })}, next ${
    format.time(v.state.snapshot?.funding?.next_ts, v.isLocal, { ms: false }).slice(0, 5)}`,
};

export class Cards {
  constructor(methods) {
    this.methods = methods;
    this.node = make("div", { class: "pl-cards" });
    this.cards = new Map();
  }

  update(view, changed) {
    const wanted = view.state.snapshot?.funding ? [...CARDS, FUNDING] : CARDS;
    for (const spec of wanted) {
      if (!this.cards.has(spec.id)) this.add(spec);
      this.draw(this.cards.get(spec.id), view, changed);
    }
  }

  add(spec) {
    const title = make("a", {
      class: "pl-label", href: `${this.methods}#${spec.anchor}`, target: "_blank",
      rel: "noopener", title: `${spec.help} Click for the formula.`,
    });
    const arrow = make("i", { class: "pl-arrow", "aria-hidden": "true" });
    const value = make("b", { class: "pl-value pl-num" });
    const unit = make("span", { class: "pl-unit" }, spec.unit ?? "");
    const age = make("span", { class: "pl-age" });
    const note = make("p", { class: "pl-sub pl-num" });
    const line = svg("path", { class: "pl-spark-line", fill: "none", "vector-effect": "non-scaling-stroke" });
    const zero = svg("path", { class: "pl-spark-zero", fill: "none", "vector-effect": "non-scaling-stroke" });
    const drawing = svg("svg", {
      class: "pl-spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none",
      "aria-hidden": "true",
    }, zero, line);
    const node = make("section", { class: "pl-card", "data-card": spec.id, "data-tone": spec.tone ?? null },
      make("i", { class: "pl-veil" }),
      make("header", {}, title, age),
      make("p", { class: "pl-main" }, value, unit, arrow), note, spec.spark ? drawing : null);
    this.cards.set(spec.id, { spec, node, title, value, unit, arrow, note, age, line, zero, held: null });
    this.node.append(node);
  }

  draw(card, view, changed) {
    const { spec } = card;
    const snapshot = view.state.snapshot;
    const value = spec.value(view) ?? null;
    setText(card.title, spec.title(snapshot));
    const isMissing = value === null || (!spec.isText && !format.known(value));
    setText(card.value, isMissing ? missing(snapshot) : spec.show(value));
    setAttribute(card.value, "data-value", isMissing ? null : value);
    setAttribute(card.node, "data-missing", isMissing || null);
    card.unit.hidden = isMissing;
    const state = spec.state?.(view);
    setText(card.note, isMissing ? reason(snapshot) : [state, spec.note(view)].filter(Boolean).join(" · "));
    if (!spec.isText && !isMissing && format.known(card.held)
        && spec.show(value) !== spec.show(card.held)) {
      flash(card.node, value > card.held);
    }
    card.held = isMissing ? null : value;
    if (spec.spark && changed.has("series")) this.sketch(card, column(view, spec.spark) ?? []);
  }

  sketch(card, values) {
    const tail = values.slice(-POINTS);
    const seen = tail.filter(format.known);
    if (seen.length < 2) {
      setAttribute(card.line, "d", "");
      return;
    }
    let low = Math.min(...seen);
    let high = Math.max(...seen);
    if (card.spec.zero) [low, high] = [Math.min(low, 0), Math.max(high, 0)];
    const scale = high > low ? (HEIGHT - 4) / (high - low) : 0;
    const y = (value) => (HEIGHT - 2 - (value - low) * scale).toFixed(1);
    let isDown = true;
    const path = tail.map((value, i) => {
      if (!format.known(value)) {
        isDown = true;
        return "";
      }
      const step = `${isDown ? "M" : "L"}${((i * WIDTH) / (POINTS - 1)).toFixed(1)} ${y(value)}`;
      isDown = false;
      return step;
    });
    setAttribute(card.line, "d", path.join(""));
    if (card.spec.zero) setAttribute(card.zero, "d", `M0 ${y(0)}L${WIDTH} ${y(0)}`);
  }

  /** Grey out what is old: a leg by its own last trade, everything by the feed. */
  tick(view) {
    const now = view.serverNow();
    const { snapshot, status } = view.state;
    const limit = Math.max(10_000, view.barMs());
    const lastTrade = (symbol) => status?.symbols?.[symbol]?.last_ts;
    const known = [lastTrade(snapshot?.y), lastTrade(snapshot?.x)].filter((ts) => ts > 0);
    const newestTrade = known.length ? Math.max(...known) : snapshot?.ts + view.barMs();
    for (const { spec, node, age } of this.cards.values()) {
      const at = spec.leg ? lastTrade(snapshot?.[spec.leg]) : newestTrade;
      const old = format.known(at) && at > 0 && format.known(now) ? now - at : NaN;
      const isStale = old > limit || view.ageMs() > 5_000 || snapshot?.status === "stale";
      setAttribute(node, "data-stale", isStale || null);
      setText(age, isStale && old > 1_000 ? `${format.span(old)} old` : "");
    }
  }
}

const isShort = (snapshot) => snapshot?.status === "warming_up" && snapshot.warmup
  && snapshot.warmup.have < snapshot.warmup.need;

const missing = (snapshot) =>
  (isShort(snapshot) ? `${snapshot.warmup.have}/${snapshot.warmup.need}` : "–");

const reason = (snapshot) => {
  if (!snapshot) return "waiting for data";
  if (isShort(snapshot)) return "warming up: rows held / needed";
  if (snapshot.status === "warming_up") return "not computed yet: see the reasons";
  return "no estimate on these rows";
};
