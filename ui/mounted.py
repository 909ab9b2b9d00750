"""Components of our own: mounted once, then told what changed; all they load is served from here.

Streamlit makes an element anew whenever its content changes. These stay, so nothing flickers and a
zoom outlives the next run of the page.
"""

from typing import Any

import plotly
import streamlit as st

# Sent again with every run of the page, so it only loads the module that does the work.
_BOOTSTRAP = """
const views = new WeakMap();
export default function ({ data, parentElement, setTriggerValue }) {
  let view = views.get(parentElement);
  if (!view) {
    view = {};
    views.set(parentElement, view);
    const root = parentElement.querySelector("[data-mount]");
    const at = (path) => new URL(path, document.baseURI).href;
    const styled = new Promise((resolve, reject) => {
      const id = `pairs-style ${data.style}`;
      if (!data.style || document.getElementById(id)) return resolve();
      const link = Object.assign(document.createElement("link"),
        { id, rel: "stylesheet", href: at(data.style), onload: resolve, onerror: reject });
      document.head.append(link);
    });
    Promise.all([import(at(data.module)), styled]).then(([module]) => {
      const tell = (name, value) => view.tell(name, value);
      if (!view.isGone) view.mounted = module.mount(root, view.data, tell);
    }).catch(() => {
      root.textContent = "This part of the page could not be loaded. Reload to try again.";
    });
  }
  view.data = data;
  view.tell = setTriggerValue;
  view.mounted?.update(data);
  return () => { view.isGone = true; view.mounted?.destroy(); views.delete(parentElement); };
}
"""


def declare(name: str, *, html: str, css: str) -> Any:
    """Return a component whose module is given with its data, see `served`.

    Args:
        html: what stands there until the module has loaded; one element has `data-mount`.
    """
    return st.components.v2.component(name, html=html, css=css, js=_BOOTSTRAP, isolate_styles=False)


def served(module: str, *, is_styled: bool = False) -> dict[str, str]:
    """Return the data of a component that say where its module and the chart library are."""
    base = prefix()
    return {
        "module": f"{base}/assets/ui/{module}.js",
        "plotly": f"{base}/assets/plotly/plotly.min.js?v={plotly.__version__}",
        **({"style": f"{base}/assets/ui/{module}.css"} if is_styled else {}),
    }


def prefix() -> str:
    """Return what stands before every path of this server, "" by default."""
    base = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return f"/{base}" if base else ""
