// The decision card and the paper position: what the rule says, why, and what it costs.

import { make, setAttribute, setText } from "./element.js";
import * as format from "./format.js";

const GATE_NAMES = {
  warm: "Warm", fresh: "Fresh", correlated: "Correlated", stationary: "Stationary",
  regime: "Regime", hedged: "Hedged", worth_it: "Worth it",
};
const GATE_HELP = {
  warm: "Every number that the rule needs is known.",
  fresh: "Both legs traded within 10 s, or one bar if longer.",
  correlated: "The correlation is at least the minimum.",
  stationary: "The cointegration test passes.",
  regime: "The pair is neither broken nor trending.",
  hedged: "Both legs really offset each other.",
  worth_it: "The expected edge covers the round-trip cost.",
};
const VERB = { BUY: "Buy the spread", SELL: "Sell the spread", HOLD: "Stay out" };

export class Decision {
  constructor(methods) {
    this.signal = make("b", { class: "pl-signal" });
    this.verb = make("span", { class: "pl-verb" });
    this.coins = make("p", { class: "pl-coins pl-num" });
    this.asOf = make("span", { class: "pl-age pl-num" });
    this.facts = make("dl", { class: "pl-facts" });
    this.confidence = make("div", { class: "pl-confidence" });
    this.edge = make("div", { class: "pl-edge" });
    this.gates = make("ul", { class: "pl-gates" });
    this.reasons = make("ol", { class: "pl-reasons" });
    this.cells = {};
    for (const [id, label, help] of [
      ["action", "Action", "What the paper position should do now."],
      ["bias", "Bias", "Bearish when z is above exit, bullish when below −exit."],
      ["alone", "z alone", "What z would say if every gate were open."],
      ["sell", "Sell above", "Price of Y, X unchanged, at which SELL would fire."],
      ["buy", "Buy below", "Price of Y, X unchanged, at which BUY would fire."],
      ["exit", "Exit at", "Price of Y, X unchanged, at which a position would be closed."],
    ]) {
      this.cells[id] = make("dd", { class: "pl-num" }, "–");
      this.facts.append(make("div", { title: help }, make("dt", {}, label), this.cells[id]));
    }
    this.node = make("section", { class: "pl-panel pl-decision", "aria-label": "Decision" },
      make("header", {},
        make("a", { class: "pl-label", href: `${methods}#decision`, target: "_blank", rel: "noopener",
          title: "What the rule says on the newest closed bar. Click for the definition." }, "Decision"),
        this.asOf),
      make("p", { class: "pl-headline" }, this.signal, this.verb), this.coins,
      this.facts, this.confidence, this.edge,
      make("h4", {}, "Gates"), this.gates, make("h4", {}, "Reasons"), this.reasons);
  }

  update(view) {
    const snapshot = view.state.snapshot;
    const decision = snapshot?.decision;
    if (!decision) {
      setText(this.signal, "–");
      setText(this.verb, "waiting for the first numbers");
      return;
    }
    const barText = format.time(snapshot.ts, view.isLocal, { ms: false });
    setText(this.asOf, `bar of ${barText}`);
    setText(this.signal, decision.signal);
    setAttribute(this.node, "data-signal", decision.signal);
    setText(this.verb, VERB[decision.signal] ?? decision.side);
    setText(this.coins, this.sideInCoins(snapshot, decision));
    setText(this.cells.action, decision.action ?? "–");
    setText(this.cells.bias, decision.market_bias ?? "–");
    setText(this.cells.alone, decision.ungated_signal ?? "–");
    const price = snapshot.forming?.price_y ?? snapshot.price_y;
    const trigger = { ...decision.trigger_prices, ...snapshot.forming };
    setText(this.cells.sell, level(trigger.sell_above, price));
    setText(this.cells.buy, level(trigger.buy_below, price));
    setText(this.cells.exit, level(trigger.exit_at, price));
    this.drawConfidence(decision);
    this.drawEdge(decision);
    this.drawGates(decision.gates ?? [], view.params.gates);
    this.drawReasons([...new Set([...(decision.reasons ?? []), ...(snapshot.warnings ?? [])])]);
  }

  sideInCoins(snapshot, decision) {
    const text = format.coins(snapshot, decision.qty_y, decision.qty_x);
    if (!text) return "";
    return decision.signal === "HOLD" ? `at a signal: ${text}` : `${decision.signal} = ${text}`;
  }

  drawConfidence({ confidence, record }) {
    const n = record?.n ?? 0;
    const [low, high] = [record?.low, record?.high];
    const bar = make("i", { class: "pl-bar" });
    if (format.known(low) && format.known(high)) {
      bar.append(
        make("i", { class: "pl-bar-range", style: `left:${low * 100}%;width:${(high - low) * 100}%` }),
        make("i", { class: "pl-bar-point", style: `left:${confidence * 100}%` }));
    }
    const text = n
      ? `${record.k} of ${n} such entries paid after costs; ${format.number(low * 100, 0)}–${format.percent(high)}`
      : "no past entry of this rule on the loaded history";
    renew(this.confidence, [confidence, text], () => [
      row("Confidence", format.percent(confidence), "Share of past entries of this rule that paid, with its 95 % interval."),
      bar, make("p", { class: "pl-sub" }, text)]);
  }

  drawEdge({ expected_edge_bps: edge, round_trip_cost_bps: cost, distance_bps: distance }) {
    const top = Math.max(...[edge, cost, distance].filter(format.known).map(Math.abs), 1);
    const line = (label, value, tone, help) => make("div", { class: "pl-edge-row", title: help },
      make("span", {}, label),
      make("i", { class: "pl-track" }, make("i", {
        class: "pl-fill", "data-tone": tone,
        style: `width:${format.known(value) ? Math.min(100, (Math.max(0, value) / top) * 100) : 0}%` })),
      make("b", { class: "pl-num" }, format.known(value) ? `${format.number(value, 1)} bps` : "–"));
    renew(this.edge, [edge, cost, distance], () => [
      line("Expected edge", edge, "long", "Mean gross result of past entries, in bps of gross notional; unknown below 10 entries."),
      line("Round-trip cost", cost, "short", "Fees and slippage of both legs, in and out."),
      line("Distance", distance, "idle", "How far the spread is from the exit level: a distance, not an expectation.")]);
  }

  drawGates(gates, active) {
    renew(this.gates, [gates, active], () => gates.map((gate) => {
      const isOff = Array.isArray(active) && !active.includes(gate.name);
      const mark = isOff ? "○" : gate.passed ? "✓" : "✗";
      const state = isOff ? "off" : gate.passed ? "passed" : "failed";
      const compared = [gate.value, gate.limit].every(format.known)
        ? `${format.significant(gate.value)} / ${format.significant(gate.limit)}` : "";
      const why = gate.passed ? null : make("span", { class: "pl-gate-text" }, gate.text || "");
      return make("li", { "data-state": state, title: gate.text || GATE_HELP[gate.name] || "" },
        make("i", { "aria-hidden": "true" }, mark),
        make("span", { class: "pl-gate-name" }, GATE_NAMES[gate.name] ?? gate.name,
          make("span", { class: "pl-visually-hidden" }, ` ${state} `)),
        make("b", { class: "pl-num" }, compared), why);
    }));
  }

  drawReasons(reasons) {
    renew(this.reasons, reasons, () => reasons.slice(0, 6).map((text) => make("li", {}, text)));
  }
}

export class Position {
  constructor(methods) {
    this.body = make("div", { class: "pl-position" });
    this.node = make("section", { class: "pl-panel", "aria-label": "Paper position" },
      make("header", {}, make("a", { class: "pl-label", href: `${methods}#state-machine`,
        target: "_blank", rel: "noopener",
        title: "What the state machine holds on paper, valued at the newest closed bar." },
      "Paper position")), this.body);
  }

  update(view) {
    const snapshot = view.state.snapshot;
    const position = snapshot?.position;
    const side = position?.side ?? "–";
    setAttribute(this.node, "data-side", side);
    if (!position || side === "FLAT" || side === "NEUTRAL") {
      renew(this.body, side, () => [make("p", { class: "pl-flat" }, make("b", {}, "Flat"),
        " — enters when z crosses an entry line and every gate passes")]);
      return;
    }
    const coins = format.coins(snapshot, position.qty_y, position.qty_x);
    renew(this.body, [position, coins, view.isLocal], () => [
      make("p", { class: "pl-headline" }, make("b", { class: "pl-signal" }, side),
        make("span", { class: "pl-verb pl-num" }, coins)),
      row("Net PnL", money(position.net_pnl), "After fees, slippage and funding, closing now included.", tone(position.net_pnl)),
      row("Gross PnL", money(position.gross_pnl), "Before costs.", tone(position.gross_pnl)),
      row("Entered", `${format.time(position.entry_ts, view.isLocal, { ms: false, day: true })} at z ${format.number(position.entry_z, 2, { sign: true })}`),
      row("Held", `${format.number(position.bars_held, 0)} bars`)]);
  }
}

const money = (value) => format.number(value, 2, { sign: true });
const tone = (value) => (!format.known(value) || value === 0 ? null : value > 0 ? "good" : "bad");

function level(value, from) {
  if (!format.known(value)) return "–";
  const away = format.known(from) && from ? ` (${format.number((value / from - 1) * 100, 2, { sign: true })} %)` : "";
  return `${format.price(value)}${away}`;
}

function row(label, value, title, toneName) {
  return make("p", { class: "pl-row", title }, make("span", {}, label),
    make("b", { class: "pl-num", "data-tone": toneName }, value));
}

// Build anew only what `about` says has changed: the rest keeps its tooltips and costs nothing.
function renew(parent, about, children) {
  const key = JSON.stringify(about);
  if (parent.shownKey === key) return;
  parent.shownKey = key;
  parent.replaceChildren(...children());
}
