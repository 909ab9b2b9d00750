// The Live page: one socket in, the whole page out. Increments only; nothing is rebuilt that stays.

import { Cards } from "./cards.js";
import { Chart } from "./chart.js";
import { Connection } from "./connection.js";
import { Decision, Position } from "./decision.js";
import { make, setAttribute, setText } from "./element.js";
import { loadPlotly } from "./library.js";
import { apply, columnsOf, emptyState } from "./state.js";
import { Strip } from "./strip.js";
import { Tables } from "./tables.js";

const TIMEFRAME_MS = { "1s": 1_000, "1m": 60_000, "5m": 300_000, "15m": 900_000, "1h": 3_600_000 };
const MEMORY = "pairs-live";
const KEPT_LATENCIES = 5_000;
const FORGET_EVERY_MS = 600_000;

// Counters for tests and for the curious: `window.__live`.
const counters = (window.__live ??= {
  mounts: 0, updates: 0, fulls: 0, lastSeq: 0, latencyMs: null, latencies: [], draws: 0, drawMs: 0,
  reconnects: 0, bytes: 0, state: "connecting",
});

export class LiveView {
  constructor(root, data) {
    this.root = root;
    this.counters = counters;
    counters.mounts += 1;
    this.state = emptyState();
    this.link = { state: "connecting", text: "" };
    this.isLocal = this.remembered("local", false);
    this.mode = this.remembered("mode", "normal");
    this.isPaused = false;
    this.take(data);
    this.build(data);
    loadPlotly(data.plotly).then(() => this.chart.schedule(0))
      .catch((error) => setText(this.chart.empty, error.message));
    this.connection = new Connection({
      address: (seq) => this.address(seq), seq: () => this.state.seq,
      onMessage: (message) => this.receive(message), onState: (state, text) => this.linked(state, text),
    });
    this.clock = setInterval(() => this.tick(), 500);
    // Streamlit notes the time of every run for ever, and here there is one every two seconds.
    this.forgetting = setInterval(() => {
      performance.clearMarks();
      performance.clearMeasures();
    }, FORGET_EVERY_MS);
  }

  take(data) {
    this.data = data;
    this.params = data.params;
    const isDark = luminance(getComputedStyle(this.root).getPropertyValue("--st-background-color")) < 0.5;
    const colors = isDark ? data.palette.dark : data.palette.light;
    const font = getComputedStyle(this.root).getPropertyValue("--st-font") || "sans-serif";
    this.palette = { ...colors, font };
    setAttribute(this.root, "data-theme", isDark ? "dark" : "light");
    for (const [name, color] of Object.entries(colors)) {
      this.root.style.setProperty(`--pl-${name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`, color);
    }
  }

  build(data) {
    this.pauseButton = make("button", { type: "button", class: "pl-pause", "aria-pressed": "false",
      title: "Freeze the page; trades are still taken in", onclick: () => this.pause(!this.isPaused) }, "Pause");
    this.strip = new Strip();
    this.decision = new Decision(data.methods);
    this.position = new Position(data.methods);
    this.cards = new Cards(data.methods);
    this.chart = new Chart(this);
    this.tables = new Tables();
    this.root.replaceChildren(
      make("div", { class: "pl-busy", "aria-hidden": "true" }), this.strip.block,
      make("div", { class: "pl-grid" },
        make("div", { class: "pl-rail" }, this.decision.node, this.position.node),
        make("div", { class: "pl-body" }, this.cards.node, this.chart.node, this.tables.node)));
    setAttribute(this.root, "data-loading", true);
  }

  /** New data from Streamlit: other parameters mean another subscription, the page stays. */
  update(data) {
    const isOther = data.query !== this.data.query;
    this.take(data);
    if (isOther) {
      this.state.seq = 0;
      this.chart.zoom = null;
      setAttribute(this.root, "data-loading", true);
      this.connection.restart();
    }
    this.chart.schedule(0);
  }

  address(seq) {
    const url = new URL(this.data.socket, document.baseURI);
    url.protocol = url.protocol.replace("http", "ws");
    url.search = this.data.query;
    url.searchParams.set("seq", seq);
    url.searchParams.set("limit", this.data.limit);
    return url;
  }

  // -- messages ----------------------------------------------------------------------------------

  receive(message) {
    this.receivedAt = performance.now();
    counters.bytes = this.connection.bytes;
    const changed = apply(this.state, message);
    if (message.type === "full") {
      counters.fulls += 1;
      this.tables.reset();
      this.loadCandles();
      setAttribute(this.root, "data-loading", null);
      for (const name of ["ticks", "series", "events"]) changed.add(name);
    }
    if (message.type !== "status") this.noteTrades(message);
    if (!this.isPaused || message.type === "full") this.render(changed);
    counters.lastSeq = this.state.seq;
    counters.updates += 1;
  }

  /** Every trade of a delta counts as shown when the delta is; those of a full are history. */
  noteTrades(message) {
    const rows = message.type === "delta" && !this.isPaused ? Object.values(message.ticks ?? {}).flat() : [];
    this.tradeStamps = rows.map((row) => row[0]);
  }

  noteShown() {
    if (!this.tradeStamps?.length) return;
    const { latencies } = counters;
    const now = Date.now();
    counters.latencyMs = now - Math.max(...this.tradeStamps);
    for (const ts of this.tradeStamps) latencies.push(now - ts);
    if (latencies.length > KEPT_LATENCIES) latencies.splice(0, KEPT_LATENCIES / 2);
    this.tradeStamps = null;
  }

  render(changed) {
    this.strip.update(this);
    this.cards.update(this, changed);
    if (changed.has("snapshot")) {
      this.decision.update(this);
      this.position.update(this);
    }
    this.tables.update(this);
    this.noteShown();
    if (changed.has("series")) this.chart.schedule();
    this.tick();
  }

  /** Candles are asked for once; the socket then brings the forming and the last closed one. */
  async loadCandles() {
    if (this.mode !== "candles" || !this.state.snapshot) return;
    const { state } = this;
    const { y, x, timeframe } = state.snapshot;
    await Promise.all([y, x].filter((symbol) => !state.candles[symbol]).map(async (symbol) => {
      const url = new URL(this.data.bars, document.baseURI);
      url.search = new URLSearchParams({ symbol, timeframe, limit: this.data.limit, include_open: true });
      const answer = await fetch(url).catch(() => null);
      if (!answer?.ok || this.state.snapshot?.timeframe !== timeframe) return;
      state.candles[symbol] = columnsOf((await answer.json()).bars);
    }));
    this.chart.schedule(0);
  }

  linked(state, text) {
    if (state === "reconnecting" && this.link.state !== "reconnecting") counters.reconnects += 1;
    this.link = { state, text };
    counters.state = state;
    setAttribute(this.root, "data-link", state);
    if (this.strip) this.strip.update(this);
  }

  tick() {
    if (document.hidden) return;
    this.strip.tick(this);
    this.cards.tick(this);
  }

  // -- what parts ask ------------------------------------------------------------------------------

  serverNow() {
    const at = this.state.status?.server_ms;
    return at === undefined || at === null ? NaN : at + (performance.now() - this.receivedAt);
  }

  ageMs() {
    return this.receivedAt === undefined ? NaN : performance.now() - this.receivedAt;
  }

  barMs() {
    return TIMEFRAME_MS[this.state.snapshot?.timeframe ?? this.params.timeframe] ?? 60_000;
  }

  remembered(name, fallback) {
    try {
      return JSON.parse(localStorage.getItem(MEMORY) ?? "{}")[name] ?? fallback;
    } catch {
      return fallback;
    }
  }

  remember(name, value) {
    try {
      const all = JSON.parse(localStorage.getItem(MEMORY) ?? "{}");
      localStorage.setItem(MEMORY, JSON.stringify({ ...all, [name]: value }));
    } catch { /* private windows may refuse storage: the choice then lasts for this page */ }
  }

  // -- choices ------------------------------------------------------------------------------------

  setMode(mode) {
    this.mode = mode;
    this.remember("mode", mode);
    this.loadCandles();
    this.chart.draw();
  }

  setZone(isLocal) {
    this.isLocal = isLocal;
    this.remember("local", isLocal);
    this.render(new Set(["snapshot", "series"]));
    this.chart.draw();
  }

  pause(isPaused) {
    this.isPaused = isPaused;
    setText(this.pauseButton, isPaused ? "Resume" : "Pause");
    setAttribute(this.pauseButton, "aria-pressed", String(isPaused));
    setAttribute(this.root, "data-paused", isPaused || null);
    this.render(new Set(isPaused ? [] : ["snapshot", "series", "ticks", "events"]));
  }

  destroy() {
    this.isGone = true;
    clearInterval(this.clock);
    clearInterval(this.forgetting);
    this.connection.close();
    this.chart.destroy();
  }
}

function luminance(color) {
  const probe = make("canvas").getContext("2d");
  probe.fillStyle = color.trim() || "#000";
  const hex = probe.fillStyle;
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

export const mount = (root, data) => new LiveView(root, data);
