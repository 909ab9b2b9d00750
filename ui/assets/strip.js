// The status strip: where the numbers come from and whether they can be trusted right now.

import { make, setAttribute, setText } from "./element.js";
import * as format from "./format.js";

const FEED_TEXT = {
  live: "Live", connecting: "Connecting", backfilling: "Filling gaps", stalled: "Stalled",
  blocked: "Blocked", stopped: "Stopped",
};

export class Strip {
  constructor() {
    this.items = {};
    this.node = make("div", { class: "pl-strip", role: "status", "aria-live": "off" });
    this.add("feed", "", "State of the trade feed");
    this.add("venue", "Venue", "Where the trades come from");
    this.add("rate", "Trades", "Trades taken in per second, all symbols");
    this.add("lag", "Lag", "From the exchange's trade time to this server");
    this.add("gaps", "Gaps", "Spans of missing trades still being fetched");
    this.add("warm", "Warm-up", "Rows held / rows the slowest number needs");
    this.add("close", "Bar closes in", "Time until the forming bar closes");
    this.add("age", "Updated", "Age of the newest message from the server");
    this.note = make("p", { class: "pl-note", hidden: true, role: "alert" });
    this.differs = make("p", { class: "pl-note pl-note-quiet", hidden: true });
    this.block = make("div", {}, this.node, this.note, this.differs);
  }

  add(id, label, title) {
    const value = make("b", { class: "pl-num" });
    const item = make("span", { class: `pl-item pl-item-${id}`, title, "data-item": id },
      id === "feed" ? make("i", { class: "pl-dot" }) : make("span", { class: "pl-key" }, label),
      value);
    this.items[id] = { item, value };
    this.node.append(item);
  }

  update(view) {
    const { status, snapshot, simulated } = view.state;
    const link = view.link;
    const feed = link.state === "open" ? status?.feed ?? "connecting" : link.state;
    const text = view.isPaused ? "Paused" : FEED_TEXT[feed]
      ?? { reconnecting: "Reconnecting…", refused: "Refused" }[feed] ?? feed;
    const tone = view.isPaused ? "idle" : feed === "live" ? "good"
      : ["connecting", "backfilling", "reconnecting"].includes(feed) ? "wait" : "bad";
    this.set("feed", text, tone);
    this.set("venue", status ? status.venue : "–");
    setAttribute(this.items.venue.item, "data-simulated", simulated ? "SIMULATED" : null);
    this.set("rate", status ? `${format.number(status.trades_per_s, 1)}/s` : "–");
    this.set("lag", status ? format.span(status.lag_ms) : "–", status?.lag_ms > 2_000 ? "wait" : null);
    this.set("gaps", status ? String(status.gaps_open ?? "–") : "–", status?.gaps_open ? "wait" : null);
    const warmup = snapshot?.warmup;
    const isWarm = warmup && warmup.have >= warmup.need;
    this.set("warm", warmup ? `${Math.min(warmup.have, warmup.need)}/${warmup.need}` : "–",
      isWarm ? null : "wait");
    this.sayWhy(link, status, feed);
    const names = status?.rule_differs ?? [];
    this.differs.hidden = names.length === 0;
    setText(this.differs, `This view is not the running rule: ${names.join(", ")} differ.`
      + " Alerts and paper trading follow the running rule.");
  }

  sayWhy(link, status, feed) {
    const text = link.text || (feed !== "live" && link.state === "open" ? status?.message : "");
    this.note.hidden = !text;
    setText(this.note, text || "");
  }

  tick(view) {
    const now = view.serverNow();
    const close = view.state.status?.bar_close_ms;
    this.set("close", format.known(close) && format.known(now) ? countdown(close - now) : "–");
    const age = view.ageMs();
    const shown = age < 1_000 ? "just now" : `${format.span(age)} ago`;
    this.set("age", format.known(age) ? shown : "–", age > 5_000 ? "bad" : null);
  }

  set(id, text, tone = null) {
    setText(this.items[id].value, text);
    setAttribute(this.items[id].item, "data-tone", tone);
  }
}

function countdown(ms) {
  const left = Math.max(0, Math.ceil(ms / 1_000));
  const hours = Math.floor(left / 3_600);
  const minutes = Math.floor(left / 60) % 60;
  const clock = [minutes, left % 60].map((part) => String(part).padStart(2, "0")).join(":");
  return hours ? `${hours}:${clock}` : clock;
}
