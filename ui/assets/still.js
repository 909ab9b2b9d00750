// A still figure: drawn by the page's runs, changed in place, so that nothing flickers while a
// level is moved and a zoom outlives the next run.

import { make, setAttribute, setText } from "./element.js";
import { follow, unfollow } from "./figure_line.js";
import { loadPlotly } from "./library.js";

const CONFIG = { displayModeBar: false, displaylogo: false, scrollZoom: false, responsive: false, showTips: false };

export class Still {
  constructor(root, data, tell) {
    this.root = root;
    this.plot = make("div", { class: "ps-plot", role: "img" });
    this.wide = make("button", { type: "button", class: "ps-wide", title: "Whole screen; Escape goes back",
      "aria-label": "Show the chart on the whole screen", onclick: () => this.widen() }, "⛶");
    this.failed = make("p", { class: "ps-failed", role: "status", hidden: true });
    this.tell = tell;
    this.take = (message) => this.show(message.serial, message.figure);
    root.replaceChildren(this.plot, this.wide, this.failed);
    this.resizes = new ResizeObserver(() => this.draw());
    this.resizes.observe(root);
    this.update(data);
    loadPlotly(data.plotly).then(() => this.draw()).catch((error) => {
      this.failed.hidden = false;
      setText(this.failed, error.message);
    });
  }

  update(data) {
    setAttribute(this.plot, "aria-label", data.alt);
    setAttribute(this.root, "data-picks", data.picks);
    if (data.line !== this.line) {
      this.line = data.line; // another session counts anew
      this.serial = 0;
      this.key = data.key;
      follow(data.line, data.key, this.take);
    }
    if (data.serial > this.serial) this.show(data.serial, JSON.parse(data.figure));
  }

  /** Draw a figure, by whichever way it came first. */
  show(serial, figure) {
    if (serial <= this.serial) return;
    this.serial = serial;
    this.figure = figure;
    this.size = null;
    this.root.style.minHeight = `${this.figure.layout.height}px`;
    this.draw();
  }

  /** Draw what is asked for now; what changes meanwhile is drawn next. */
  async draw() {
    const width = this.root.clientWidth;
    const height = document.fullscreenElement === this.root
      ? this.root.clientHeight : this.figure.layout.height;
    const size = `${width}×${height}`;
    if (!width || size === this.size || !window.Plotly || this.isGone) return;
    if (this.isDrawing) return;
    this.isDrawing = true;
    this.size = size;
    const { data, layout } = this.figure;
    try {
      await window.Plotly.react(this.plot, data, { ...layout, width, height }, CONFIG);
      if (!this.isHeard) this.listen();
    } finally {
      this.isDrawing = false;
    }
    this.draw();
  }

  listen() {
    this.isHeard = true;
    this.plot.on("plotly_click", ({ points: [point] }) => {
      if (this.root.hasAttribute("data-picks")) this.tell("picked", { x: point.x, y: point.y });
    });
  }

  widen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.root.requestFullscreen?.();
  }

  destroy() {
    this.isGone = true;
    unfollow(this.key, this.take);
    this.resizes.disconnect();
    window.Plotly?.purge(this.plot);
  }
}

export const mount = (root, data, tell) => new Still(root, data, tell);
