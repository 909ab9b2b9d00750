// Numbers and times as text. "–" is "no estimate"; nothing unknown is ever shown as 0.

const NONE = "–";
const formats = new Map();

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

/** Fixed decimals, thousands grouped, a real minus. */
export function number(value, decimals = 2, { sign = false } = {}) {
  if (!isNumber(value)) return NONE;
  const key = `${decimals}${sign}`;
  if (!formats.has(key)) {
    formats.set(key, new Intl.NumberFormat("en-US", {
      minimumFractionDigits: decimals, maximumFractionDigits: decimals,
      signDisplay: sign ? "exceptZero" : "negative",
    }));
  }
  return formats.get(key).format(value).replace("-", "−");
}

/** Decimals that show a price to about seven digits. */
export function decimalsOf(price) {
  if (!isNumber(price) || price === 0) return 2;
  const digits = Math.floor(Math.log10(Math.abs(price)));
  return Math.min(8, Math.max(2, 5 - digits));
}

export const price = (value) => number(value, decimalsOf(value));

/** Three significant digits, as in p-values. */
export function significant(value, digits = 3) {
  if (!isNumber(value)) return NONE;
  if (value === 0) return "0";
  const size = Math.floor(Math.log10(Math.abs(value)));
  if (size < -4) return value.toExponential(1).replace("-", "−");
  return number(value, Math.max(0, Math.min(8, digits - 1 - size)));
}

export const percent = (fraction, decimals = 0) =>
  isNumber(fraction) ? `${number(fraction * 100, decimals)} %` : NONE;

export function quantity(value) {
  return isNumber(value) ? String(Number(Math.abs(value).toPrecision(6))) : NONE;
}

const QUOTES = ["FDUSD", "USDT", "USDC", "TUSD", "BUSD", "USD", "EUR", "BTC", "ETH"];

/** The coin of a symbol: BTC of BTCUSDT. */
export function coin(symbol) {
  const quote = QUOTES.find((name) => symbol?.endsWith(name) && symbol.length > name.length);
  return quote ? symbol.slice(0, -quote.length) : symbol;
}

/** "short 0.081 BTC, long 1.44 ETH", "" if a quantity is unknown. */
export function coins(snapshot, qtyY, qtyX) {
  const legs = [[qtyY, snapshot.y], [qtyX, snapshot.x]];
  if (legs.some(([qty]) => !isNumber(qty) || qty === 0)) return "";
  return legs
    .map(([qty, symbol]) => `${qty < 0 ? "short" : "long"} ${quantity(qty)} ${coin(symbol)}`)
    .join(", ");
}

const two = (value) => String(value).padStart(2, "0");

/** Milliseconds to add to UTC to get the clock that is shown. */
export function offsetMs(ts, isLocal) {
  return isLocal ? -new Date(ts).getTimezoneOffset() * 60_000 : 0;
}

/** Time of day to the millisecond; with the day if asked for. */
export function time(ts, isLocal, { day = false, ms = true } = {}) {
  if (!isNumber(ts)) return NONE;
  const at = new Date(ts + offsetMs(ts, isLocal));
  const clock = `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}:${two(at.getUTCSeconds())}`;
  const full = ms ? `${clock}.${String(at.getUTCMilliseconds()).padStart(3, "0")}` : clock;
  if (!day) return full;
  return `${at.getUTCFullYear()}-${two(at.getUTCMonth() + 1)}-${two(at.getUTCDate())} ${full}`;
}

/** A span in words a trader reads at a glance: 850 ms, 12 s, 3 min, 2 h. */
export function span(ms) {
  if (!isNumber(ms)) return NONE;
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 120_000) return `${Math.floor(ms / 1_000)} s`;
  if (ms < 7_200_000) return `${Math.floor(ms / 60_000)} min`;
  if (ms < 172_800_000) return `${Math.floor(ms / 3_600_000)} h`;
  return `${Math.floor(ms / 86_400_000)} d`;
}

export const known = isNumber;
