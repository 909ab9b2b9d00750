// The tables under the charts: last ticks per leg, the series, alert events.

import { make, setAttribute, setText } from "./element.js";
import * as format from "./format.js";

const SERIES_ROWS = 200;
const TICK_ROWS = 200;
const QUALITY = ["live", "backfilled", "kline", "imported", "partial", "carried"];
export const qualityName = (code) => (typeof code === "string" ? code : QUALITY[code] ?? "–");

export class Tables {
  constructor() {
    this.tabs = new Map();
    this.bar = make("div", { class: "pl-tabs", role: "tablist", "aria-label": "Tables" });
    this.node = make("section", { class: "pl-panel pl-tables" }, this.bar);
    this.ticks = this.add("ticks", "Last trades", make("div", { class: "pl-ticks" }));
    this.series = this.add("series", "Series", make("div", { class: "pl-scroll", tabindex: 0 }));
    this.events = this.add("events", "Alert events", make("div", { class: "pl-scroll", tabindex: 0 }));
    this.columns = {};
    this.choose("ticks");
  }

  add(id, label, body) {
    const button = make("button", {
      type: "button", role: "tab", id: `pl-tab-${id}`, "aria-controls": `pl-pane-${id}`,
      onclick: () => this.choose(id), onkeydown: (event) => this.move(event, id),
    }, label);
    const pane = make("div", { role: "tabpanel", id: `pl-pane-${id}`, "aria-labelledby": `pl-tab-${id}` }, body);
    this.tabs.set(id, { button, pane });
    this.bar.append(button);
    this.node.append(pane);
    return body;
  }

  move(event, id) {
    const names = [...this.tabs.keys()];
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = names[(names.indexOf(id) + step + names.length) % names.length];
    this.choose(next);
    this.tabs.get(next).button.focus();
  }

  choose(id) {
    this.chosen = id;
    for (const [name, { button, pane }] of this.tabs) {
      const isChosen = name === id;
      setAttribute(button, "aria-selected", String(isChosen));
      setAttribute(button, "tabindex", isChosen ? 0 : -1);
      pane.hidden = !isChosen;
    }
    if (this.view) this.update(this.view);
  }

  update(view) {
    this.view = view;
    if (this.chosen === "ticks") this.drawTicks(view);
    if (this.chosen === "series") this.drawSeries(view);
    if (this.chosen === "events") this.drawEvents(view);
  }

  reset() {
    this.columns = {};
    this.ticks.replaceChildren();
    this.series.replaceChildren();
    this.rows = null;
  }

  drawTicks(view) {
    const { snapshot, ticks } = view.state;
    for (const symbol of [snapshot?.y, snapshot?.x]) {
      if (!symbol) continue;
      this.columns[symbol] ??= this.tickColumn(symbol);
      this.columns[symbol].put(ticks[symbol] ?? [], view.isLocal);
    }
  }

  tickColumn(symbol) {
    const body = make("tbody");
    const empty = make("p", { class: "pl-empty" }, "No trade received yet.");
    this.ticks.append(make("div", {}, make("h4", {}, symbol), empty,
      make("div", { class: "pl-scroll", tabindex: 0, role: "region", "aria-label": `Last trades of ${symbol}` },
        make("table", {}, head(["Time", "Price", "Quantity", "Side"]), body))));
    let shown = null;
    let zone = null;
    const put = (rows, isLocal) => {
      if (zone !== isLocal) {
        body.replaceChildren();
        [shown, zone] = [null, isLocal];
      }
      const from = shown === null ? 0 : rows.lastIndexOf(shown) + 1;
      const fresh = rows.slice(from).map(([ts, price, qty, isSell]) =>
        make("tr", { "data-tone": isSell ? "short" : "long" },
          make("td", {}, format.time(ts, isLocal)), make("td", {}, format.price(price)),
          make("td", {}, format.quantity(qty)), make("td", {}, isSell ? "▼ sell" : "▲ buy")));
      body.prepend(...fresh.reverse());
      while (body.childElementCount > TICK_ROWS) body.lastElementChild.remove();
      shown = rows.at(-1) ?? shown;
      empty.hidden = body.childElementCount > 0;
    };
    return { put };
  }

  drawSeries(view) {
    const series = view.state.series;
    if (!series?.ts?.length) {
      this.series.replaceChildren(make("p", { class: "pl-empty" }, "No rows yet: both legs need a bar."));
      this.rows = null;
      return;
    }
    const key = `${view.state.snapshot?.y} ${view.state.snapshot?.x} ${view.isLocal}`;
    if (!this.rows || this.rowsKey !== key) this.startRows(view, key);
    const from = Math.max(0, series.ts.length - SERIES_ROWS);
    for (let i = from; i < series.ts.length; i += 1) {
      const isNew = !this.rows.has(series.ts[i]);
      if (!isNew && i < series.ts.length - 3) continue;
      this.putRow(view, series, i, isNew);
    }
    while (this.body.childElementCount > SERIES_ROWS) {
      this.rows.delete(Number(this.body.lastElementChild.dataset.ts));
      this.body.lastElementChild.remove();
    }
  }

  startRows(view, key) {
    this.body = make("tbody");
    this.rows = new Map();
    this.rowsKey = key;
    const { y = "Y", x = "X" } = view.state.snapshot ?? {};
    this.series.replaceChildren(make("table", {},
      head(["Time", y, x, "β", "Spread", "z", "Correlation", "Quality", "Bar"]), this.body));
  }

  putRow(view, series, i, isNew) {
    const ts = series.ts[i];
    const cells = [
      format.time(ts, view.isLocal, { day: true, ms: false }), format.price(series.price_y[i]),
      format.price(series.price_x[i]), format.number(series.beta[i], 4),
      format.significant(series.spread[i], 4), format.number(series.zscore[i], 2, { sign: true }),
      format.number(series.correlation[i], 3), qualityName(series.quality[i]),
      series.closed[i] ? "closed" : "forming"];
    if (isNew) {
      const row = make("tr", { "data-ts": ts }, ...cells.map((cell) => make("td", {}, cell)));
      this.rows.set(ts, row);
      this.body.prepend(row);
    } else {
      [...this.rows.get(ts).cells].forEach((cell, k) => setText(cell, cells[k]));
    }
    const z = series.zscore[i];
    const entry = view.params.entry;
    setAttribute(this.rows.get(ts), "data-tone", z >= entry ? "short" : z <= -entry ? "long" : null);
  }

  drawEvents(view) {
    const events = [...view.state.events].reverse().slice(0, 100);
    if (!events.length) {
      this.events.replaceChildren(make("p", { class: "pl-empty" },
        "No alert has fired. Rules are made on the Alerts page."));
      return;
    }
    this.events.replaceChildren(make("table", {}, head(["Time", "Pair", "Kind", "z", "Message"]),
      make("tbody", {}, ...events.map((event) => make("tr", {},
        make("td", {}, format.time(event.ts, view.isLocal, { day: true })),
        make("td", {}, `${event.y}/${event.x}`), make("td", {}, event.kind),
        make("td", {}, format.number(event.zscore, 2, { sign: true })),
        make("td", { class: "pl-wide" }, event.message))))));
  }
}

function head(names) {
  return make("thead", {}, make("tr", {}, ...names.map((name) => make("th", { scope: "col" }, name))));
}
