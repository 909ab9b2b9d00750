// The charts on the page: draws the figure, keeps the zoom, moves the crosshair.
// The time range is ours: Plotly reports what the user did and is told what to show.

import { figure, MARGIN, rowsOf } from "./figure.js";
import { make, setAttribute, setText } from "./element.js";
import * as format from "./format.js";
import { lowerBound } from "./state.js";

const SPANS = [60, 150, 300, null];
const CONFIG = { displayModeBar: false, doubleClick: false, scrollZoom: false, responsive: false, showTips: false };
const FASTEST_MS = 400;
const SLOWEST_MS = 2_000;
const SHARE = 0.06; // of the main thread, at most, for drawing

export class Chart {
  constructor(view) {
    this.view = view;
    this.zoom = null; // [lo, hi] in ms UTC; null follows the newest bar
    this.bars = view.remembered("bars", 150);
    this.plot = make("div", { class: "pl-plot", role: "img", tabindex: 0 });
    this.overlay = make("div", { class: "pl-overlay", "aria-hidden": "true" });
    this.cross = make("i", { class: "pl-cross", hidden: true });
    this.moment = make("b", { class: "pl-moment pl-num", hidden: true });
    this.empty = make("p", { class: "pl-empty pl-empty-chart" }, "Waiting for the first bars of both legs…");
    this.stage = make("div", { class: "pl-stage" }, this.plot, this.overlay, this.cross, this.moment, this.empty);
    this.toolbar = this.makeToolbar();
    this.node = make("section", { class: "pl-panel pl-chart", "aria-label": "Charts" }, this.toolbar, this.stage);
    this.lanes = [];
    this.listen();
  }

  // -- controls ----------------------------------------------------------------------------------

  makeToolbar() {
    const view = this.view;
    this.chips = SPANS.map((bars) => make("button", { type: "button", "data-bars": bars ?? "all",
      title: bars ? `Show the newest ${bars} bars` : "Show all bars loaded",
      onclick: () => this.follow(bars) }, bars ? String(bars) : "All"));
    this.back = make("button", { type: "button", class: "pl-back", hidden: true,
      title: "Follow the newest bar again (double-click does the same)",
      onclick: () => this.follow(this.bars) }, "Back to live");
    return make("div", { class: "pl-toolbar" },
      group("Legs", choice([["normal", "Normalised"], ["candles", "Candles"]],
        () => view.mode, (mode) => view.setMode(mode))),
      group("Bars", this.chips), this.back, make("span", { class: "pl-space" }),
      group("Clock", choice([["utc", "UTC"], ["local", "Local"]],
        () => (view.isLocal ? "local" : "utc"), (zone) => view.setZone(zone === "local"))),
      view.pauseButton);
  }

  follow(bars) {
    this.zoom = null;
    this.bars = bars;
    this.view.remember("bars", bars);
    this.draw();
  }

  listen() {
    const plot = this.plot;
    plot.addEventListener("pointermove", (event) => this.point(event.clientX));
    plot.addEventListener("pointerleave", () => this.point(null));
    plot.addEventListener("pointerdown", () => { this.isHeld = true; }, true);
    this.release = () => {
      if (!this.isHeld) return;
      this.isHeld = false;
      this.schedule();
    };
    window.addEventListener("pointerup", this.release);
    window.addEventListener("pointercancel", this.release);
    plot.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    plot.addEventListener("keydown", (event) => this.key(event));
    this.resizes = new ResizeObserver(() => {
      if (this.figure && this.plot.clientWidth !== this.figure.layout.width) this.schedule(0);
    });
    this.resizes.observe(this.stage);
  }

  wheel(event) {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    this.scale(Math.exp(event.deltaY * 0.002), this.timeAt(event.clientX));
  }

  key(event) {
    const act = {
      "+": () => this.scale(0.7), "-": () => this.scale(1 / 0.7), Escape: () => this.follow(this.bars),
      ArrowLeft: () => this.stepCross(-1), ArrowRight: () => this.stepCross(1),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  scale(factor, around) {
    if (!this.shown) return;
    const [low, high] = this.shown;
    const centre = around ?? high;
    const least = 3 * this.view.barMs();
    const wide = Math.max(least, (high - low) * factor);
    const share = (centre - low) / (high - low);
    this.zoom = [centre - wide * share, centre + wide * (1 - share)];
    this.draw();
  }

  // -- drawing -----------------------------------------------------------------------------------

  /** Ask for a drawing soon: never more often than its cost allows. */
  schedule(soon) {
    if (this.timer && soon === undefined) return;
    clearTimeout(this.timer);
    const rest = Math.min(SLOWEST_MS, Math.max(FASTEST_MS, (this.cost ?? 0) / SHARE));
    const since = performance.now() - (this.drawnAt ?? -Infinity);
    this.timer = setTimeout(() => requestAnimationFrame(() => {
      this.timer = null;
      if (!this.isHeld && !document.hidden) this.draw();
    }), soon ?? Math.max(0, rest - since));
  }

  async draw() {
    const { view } = this;
    const series = view.state.series;
    const has = Boolean(series?.ts?.length);
    this.empty.hidden = has;
    this.labelControls();
    if (!has || !window.Plotly || this.isDrawing || view.isGone) return;
    this.isDrawing = true;
    const started = performance.now();
    try {
      const built = this.build(series);
      await window.Plotly.react(this.plot, built.traces, built.layout, CONFIG);
      if (view.isGone) return;
      if (!this.figure) this.attach();
      this.figure = built;
      this.overlays();
    } finally {
      this.isDrawing = false;
    }
    this.drawnAt = performance.now();
    const cost = this.drawnAt - started;
    this.cost = this.cost === undefined ? cost : this.cost * 0.8 + cost * 0.2;
    view.counters.draws += 1;
    view.counters.drawMs = this.cost;
  }

  build(series) {
    const { view } = this;
    const barMs = view.barMs();
    const offset = format.offsetMs(series.ts.at(-1), view.isLocal);
    const shift = (ts) => ts + offset;
    const [low, high] = this.rangeOf(series, barMs);
    this.shown = [low, high];
    this.offset = offset;
    // A screen to the left is enough for panning; more rows would only cost time.
    const near = (ts) => lowerBound(series.ts, ts);
    const rows = rowsOf(series, barMs, near(2 * low - high));
    const width = Math.max(260, this.stage.clientWidth);
    const isNarrow = width < 560;
    const { y = "Y", x = "X" } = view.state.snapshot ?? {};
    const height = (view.mode === "candles" ? 880 : 760) * (isNarrow ? 0.82 : 1);
    setAttribute(this.plot, "aria-label", `Legs, spread, z-score, correlation and hedge ratio of ${y} against ${x}.`
      + " The Series table below holds the numbers. Arrow keys move the crosshair, plus and minus zoom, Escape follows.");
    const from = Math.max(0, lowerBound(rows.ts, low) - 1);
    const to = Math.min(rows.ts.length, lowerBound(rows.ts, high) + 1);
    return figure({
      rows, x: rows.ts.map(shift), shift, series, candles: view.state.candles, marks: view.state.marks,
      names: { y, x }, params: view.params, palette: view.palette, mode: view.mode, from, to,
      range: [shift(low), shift(high)], width, height, isTouch: isNarrow,
    });
  }

  rangeOf(series, barMs) {
    if (this.zoom) return this.zoom;
    const n = series.ts.length;
    const last = series.ts[n - 1];
    const first = series.ts[Math.max(0, n - (this.bars ?? n))];
    const wide = Math.max(last - first, 10 * barMs);
    return [last - wide - barMs / 2, last + Math.max(barMs, wide * 0.02)];
  }

  attach() {
    this.plot.on("plotly_relayout", (event) => this.relayout(event));
    this.plot.on("plotly_doubleclick", () => this.follow(this.bars));
  }

  relayout(event) {
    const pair = event["xaxis.range"] ?? [event["xaxis.range[0]"], event["xaxis.range[1]"]];
    const range = pair.map((value) => parseDate(value) - this.offset);
    if (!range.every(format.known)) return;
    this.zoom = range;
    this.isHeld = false;
    this.draw();
  }

  labelControls() {
    for (const chip of this.chips) {
      const isOn = !this.zoom && chip.dataset.bars === String(this.bars ?? "all");
      setAttribute(chip, "aria-pressed", String(isOn));
    }
    this.back.hidden = !this.zoom;
    this.toolbar.querySelectorAll("[data-choice]").forEach((button) => button.refresh());
  }

  // -- crosshair and readouts ---------------------------------------------------------------------

  overlays() {
    const { panels, layout } = this.figure;
    const inner = layout.height - MARGIN.t - MARGIN.b;
    while (this.lanes.length < panels.length) {
      const title = make("span", { class: "pl-lane-title" });
      const values = make("span", { class: "pl-lane-values pl-num" });
      const lane = make("div", { class: "pl-lane" }, title, values);
      this.overlay.append(lane);
      this.lanes.push({ lane, title, values, tags: [] });
    }
    this.lanes.forEach((parts, k) => {
      const panel = panels[k];
      parts.lane.hidden = !panel;
      if (!panel) {
        parts.tags.forEach((tag) => { tag.hidden = true; });
        return;
      }
      const top = MARGIN.t + (1 - panel.domain[1]) * inner;
      const size = (panel.domain[1] - panel.domain[0]) * inner;
      parts.lane.style.transform = `translateY(${top.toFixed(1)}px)`;
      setText(parts.title, panel.title);
      this.putTags(parts, panel, top, size);
    });
    this.readout();
  }

  putTags(parts, panel, top, size) {
    while (parts.tags.length < panel.tags.length) {
      const tag = make("b", { class: "pl-tag pl-num" });
      parts.tags.push(tag);
      this.overlay.append(tag);
    }
    const [low, high] = panel.range;
    const placed = panel.tags.map(([values, color, show]) => {
      const value = values.at(-1);
      const y = format.known(value) ? top + size * (1 - (value - low) / (high - low)) : NaN;
      return { y, color, text: show(value) };
    });
    spread(placed, top + 7, top + size - 7);
    parts.tags.forEach((tag, k) => {
      const { y, color, text } = placed[k] ?? {};
      tag.hidden = !format.known(y);
      if (tag.hidden) return;
      setText(tag, text);
      tag.style.background = color;
      tag.style.transform = `translateY(${y.toFixed(1)}px) translateY(-50%)`;
    });
  }

  timeAt(clientX) {
    const box = this.plot.getBoundingClientRect();
    const inner = box.width - MARGIN.l - MARGIN.r;
    const share = (clientX - box.left - MARGIN.l) / inner;
    const [low, high] = this.shown;
    return low + Math.min(1, Math.max(0, share)) * (high - low);
  }

  point(clientX) {
    if (!this.shown || !this.figure) return;
    this.pointed = clientX === null ? null : this.timeAt(clientX);
    this.readout();
  }

  stepCross(step) {
    const ts = this.view.state.series?.ts;
    if (!ts?.length) return;
    const at = this.pointed ? this.nearest(ts, this.pointed) : ts.length - 1;
    this.pointed = ts[Math.min(ts.length - 1, Math.max(0, at + step))];
    this.readout();
  }

  nearest(ts, at) {
    const right = Math.min(ts.length - 1, lowerBound(ts, at));
    return right > 0 && at - ts[right - 1] < ts[right] - at ? right - 1 : right;
  }

  readout() {
    const { view } = this;
    const ts = view.state.series.ts;
    const isPointed = this.pointed !== null && this.pointed !== undefined;
    const row = isPointed ? this.nearest(ts, this.pointed) : ts.length - 1;
    const [low, high] = this.shown;
    const inner = this.figure.layout.width - MARGIN.l - MARGIN.r;
    const x = MARGIN.l + ((ts[row] - low) / (high - low)) * inner;
    const isInside = isPointed && x >= MARGIN.l && x <= MARGIN.l + inner;
    this.cross.hidden = !isInside;
    this.moment.hidden = !isInside;
    if (isInside) {
      this.cross.style.transform = `translateX(${x.toFixed(1)}px)`;
      const edge = Math.min(Math.max(x, 96), this.figure.layout.width - 96);
      this.moment.style.transform = `translateX(${edge.toFixed(1)}px) translateX(-50%)`;
      setText(this.moment, `${format.time(ts[row], view.isLocal, { day: true })} ${view.isLocal ? "local" : "UTC"}`
        + (view.state.series.closed[row] ? "" : " forming"));
    }
    this.figure.panels.forEach((panel, k) => {
      const parts = panel.read(row).map(([label, value, tone]) =>
        make("span", { "data-tone": tone }, `${label} `, make("b", {}, value)));
      this.lanes[k].values.replaceChildren(...parts);
    });
  }

  destroy() {
    clearTimeout(this.timer);
    this.resizes.disconnect();
    window.removeEventListener("pointerup", this.release);
    window.removeEventListener("pointercancel", this.release);
    if (this.figure) window.Plotly?.purge(this.plot);
  }
}

// Tags of one panel must not cover each other: push them apart around their middle.
function spread(items, top, bottom) {
  const seen = items.filter((item) => format.known(item.y)).sort((a, b) => a.y - b.y);
  for (const item of seen) item.y = Math.min(bottom, Math.max(top, item.y));
  for (let i = 1; i < seen.length; i += 1) seen[i].y = Math.max(seen[i].y, seen[i - 1].y + 15);
  for (let i = seen.length - 1; i >= 0; i -= 1) {
    const limit = i === seen.length - 1 ? bottom : seen[i + 1].y - 15;
    seen[i].y = Math.min(seen[i].y, limit);
  }
}

function parseDate(value) {
  if (typeof value === "number") return value;
  const parts = /^(\d+)-(\d+)-(\d+)(?:[ T](\d+)(?::(\d+)(?::(\d+)(\.\d+)?)?)?)?/.exec(value ?? "");
  if (!parts) return NaN;
  const [, y, mo, d, h = 0, mi = 0, s = 0, f = 0] = parts;
  return Date.UTC(y, mo - 1, d, h, mi, s) + Number(f) * 1_000;
}

function group(label, children) {
  return make("span", { class: "pl-group", role: "group", "aria-label": label }, ...children);
}

function choice(options, current, choose) {
  return options.map(([id, label]) => {
    const button = make("button", { type: "button", "data-choice": id, onclick: () => choose(id) }, label);
    button.refresh = () => setAttribute(button, "aria-pressed", String(current() === id));
    button.refresh();
    return button;
  });
}
