// Building and changing page elements. Text is always set as text, never as markup.

/** Make an element: `make("p", {class: "note", title: "…"}, "text", child)`. */
export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  const known = children.filter((child) => child !== null && child !== undefined);
  node.append(...known.map((child) => (typeof child === "string" ? whole(child) : child)));
  return node;
}

/** No line begins with a number's unit or ends within "64–79 %"; a minus is a real minus. */
const whole = (text) => text.replace(/(\d) (%|bps?|bars)(?![\w%])/g, "$1\u00a0$2")
  .replace(/(^|[\s(])-(?=\d)/g, "$1\u2212")
  .replace(/(\d)–(?=\d)/g, "$1–\u2060");

export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** Set text only where it differs: the browser lays nothing out for nothing. */
export function setText(node, text) {
  const shown = whole(String(text));
  if (node.textContent !== shown) node.textContent = shown;
}

export function setAttribute(node, name, value) {
  if (value === null || value === undefined || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else if (node.getAttribute(name) !== String(value)) {
    node.setAttribute(name, String(value));
  }
}

const FLASH_MS = 600;

/** Flash a card for 600 ms. Opacity alone moves, so no frame is painted on the main thread. */
export function flash(node, isUp) {
  setAttribute(node, "data-flash", isUp ? "up" : "down");
  clearTimeout(node.flashTimer);
  node.flashTimer = setTimeout(() => setAttribute(node, "data-flash", null), FLASH_MS);
  // One animation, played again: asking the page for the running ones would lay it out at once.
  node.flashing ??= node.querySelector(":scope > .pl-veil")
    ?.animate([{ opacity: 1 }, { opacity: 0 }], { duration: FLASH_MS, easing: "ease-out" });
  if (!node.flashing) return;
  node.flashing.currentTime = 0;
  node.flashing.play();
}
