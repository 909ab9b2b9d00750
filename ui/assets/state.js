// What the page knows, and how a message changes it. Pure: no clock, no page, no socket.

const MAX_TICKS = 200;
const MAX_ROWS = 5_000;

export function emptyState() {
  return {
    seq: 0, simulated: false, params: null, status: null, snapshot: null,
    series: null, marks: [], ticks: {}, candles: {}, events: [],
  };
}

/** Apply one message; returns the names of what it changed. */
export function apply(state, message) {
  if (message.seq !== undefined) state.seq = message.seq;
  if (message.type === "full") Object.assign(state, emptyState(), { seq: message.seq });
  const changed = new Set();
  for (const name of ["simulated", "params", "status", "snapshot"]) {
    if (message[name] !== undefined) {
      state[name] = message[name];
      changed.add(name);
    }
  }
  if (message.moving) { // the parts of the snapshot that move with every trade
    state.snapshot = { ...state.snapshot, ...message.moving };
    changed.add("snapshot");
  }
  if (message.series) {
    state.series = joined(state.series, message.series, message.gone);
    changed.add("series");
  }
  for (const kind of ["closed_candles", "candles"]) {
    for (const [symbol, candle] of Object.entries(message[kind] ?? {})) {
      if (!candle || !state.candles[symbol]) continue;
      state.candles[symbol] = joined(state.candles[symbol], columnsOf([candle]), message.gone);
      changed.add("series");
    }
  }
  for (const [symbol, rows] of Object.entries(message.ticks ?? {})) {
    state.ticks[symbol] = (state.ticks[symbol] ?? []).concat(rows).slice(-MAX_TICKS);
    changed.add("ticks");
  }
  if (message.marks) {
    state.marks = message.marks;
    changed.add("series");
  }
  if (message.events) {
    state.events = byId(state.events, message.events);
    changed.add("events");
  }
  return changed;
}

// Rows from the first new time on replace what was there; rows before `gone` are dropped.
function joined(old, fresh, gone = -Infinity) {
  if (!old || !fresh.ts?.length) return old ?? fresh;
  const keep = lowerBound(old.ts, fresh.ts[0]);
  const total = keep + fresh.ts.length;
  const drop = Math.max(Math.min(lowerBound(old.ts, gone), keep), total - MAX_ROWS, 0);
  const out = {};
  for (const name of Object.keys(fresh)) {
    out[name] = (old[name] ?? []).slice(drop, keep).concat(fresh[name]);
  }
  return out;
}

function byId(old, fresh) {
  const all = new Map([...old, ...fresh].map((item) => [item.id, item]));
  return [...all.values()].sort((a, b) => a.id - b.id).slice(-200);
}

/** Rows of `GET /api/bars` as columns. */
export function columnsOf(bars) {
  const names = ["ts", "open", "high", "low", "close"];
  return Object.fromEntries(names.map((name) => [name, bars.map((bar) => bar[name])]));
}

/** Index of the first value not below `value` in ascending `values`. */
export function lowerBound(values, value) {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
