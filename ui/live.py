"""The Live page's component: mounted once, fed by the push socket, never redrawn by Streamlit.

Streamlit only tells it which rule to subscribe to. Everything it loads is served by this process.
"""

from typing import Any
from urllib.parse import urlencode

import plotly
import streamlit as st

from params import Params
from ui.theme import PALETTE

ROWS = 500

# Sent again with every run of the page, so it only loads the module that does the work.
_BOOTSTRAP = """
const views = new WeakMap();
export default function ({ data, parentElement }) {
  let view = views.get(parentElement);
  if (!view) {
    view = {};
    views.set(parentElement, view);
    const root = parentElement.querySelector(".pairs-live");
    const at = (path) => new URL(path, document.baseURI).href;
    const styled = new Promise((resolve, reject) => {
      const id = "pairs-live-style";
      if (document.getElementById(id)) return resolve();
      const link = Object.assign(document.createElement("link"),
        { id, rel: "stylesheet", href: at(data.style), onload: resolve, onerror: reject });
      document.head.append(link);
    });
    Promise.all([import(at(data.module)), styled]).then(([module]) => {
      if (!view.isGone) view.live = module.mount(root, view.data);
    }).catch(() => {
      root.textContent = "The live page could not be loaded. Reload to try again.";
    });
  }
  view.data = data;
  view.live?.update(data);
  return () => { view.isGone = true; view.live?.destroy(); views.delete(parentElement); };
}
"""
_PLACEHOLDER = """
<div class="pairs-live"><p class="pairs-wait" role="status">Connecting to the feed…</p></div>
"""
_STYLE = """
.pairs-live { min-height: 70vh; }
.pairs-wait { color: var(--st-text-color); opacity: .7; padding: 1rem 0; }
"""

_component = st.components.v2.component(
    "pairs_live", html=_PLACEHOLDER, css=_STYLE, js=_BOOTSTRAP, isolate_styles=False
)


def query(params: Params) -> str:
    """Return the whole rule as a query string: what is not given would be the running rule's."""
    values = params.as_dict()
    values["gates"] = ",".join(values["gates"])
    return urlencode({name: "" if value is None else value for name, value in values.items()})


def live(params: Params) -> None:
    """Mount the live page for `params`, or move the mounted one to them."""
    base = prefix()
    data: dict[str, Any] = {
        "query": query(params),
        "params": params.as_dict(),
        "limit": ROWS,
        "socket": f"{base}/api/ws",
        "bars": f"{base}/api/bars",
        "module": f"{base}/assets/ui/live.js",
        "style": f"{base}/assets/ui/live.css",
        "plotly": f"{base}/assets/plotly/plotly.min.js?v={plotly.__version__}",
        "methods": f"{base}/methods",
        "palette": PALETTE,
    }
    _component(key="live", data=data)


def prefix() -> str:
    """Return what stands before every path of this server, "" by default."""
    base = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return f"/{base}" if base else ""
