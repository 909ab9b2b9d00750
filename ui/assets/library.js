// The chart library, loaded once for all that draw: 4.8 MB, kept by the browser.

import { make } from "./element.js";

let loading;

export function loadPlotly(source) {
  if (window.Plotly) return Promise.resolve();
  loading ??= new Promise((resolve, reject) => {
    document.head.append(make("script", { src: source, onload: resolve,
      onerror: () => reject(new Error("The chart library could not be loaded. Reload to try again.")) }));
  });
  return loading;
}
