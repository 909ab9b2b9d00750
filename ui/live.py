"""The Live page's component: mounted once, fed by the push socket, never redrawn by Streamlit.

Streamlit only tells it which rule to subscribe to. Everything it loads is served by this process.
"""

from typing import Any
from urllib.parse import urlencode

from params import Params
from ui import mounted
from ui.theme import PALETTE

ROWS = 500

_PLACEHOLDER = """
<div class="pairs-live" data-mount>
<p class="pairs-wait" role="status">Connecting to the feed…</p>
</div>
"""
_STYLE = """
.pairs-live { min-height: 70vh; }
.pairs-wait { color: var(--st-text-color); opacity: .7; padding: 1rem 0; }
"""

_component = mounted.declare("pairs_live", html=_PLACEHOLDER, css=_STYLE)


def query(params: Params) -> str:
    """Return the whole rule as a query string: what is not given would be the running rule's."""
    values = params.as_dict()
    values["gates"] = ",".join(values["gates"])
    return urlencode({name: "" if value is None else value for name, value in values.items()})


def live(params: Params) -> None:
    """Mount the live page for `params`, or move the mounted one to them."""
    base = mounted.prefix()
    data: dict[str, Any] = {
        **mounted.served("live", is_styled=True),
        "query": query(params),
        "params": params.as_dict(),
        "limit": ROWS,
        "socket": f"{base}/api/ws",
        "bars": f"{base}/api/bars",
        "methods": f"{base}/methods",
        "palette": PALETTE,
    }
    _component(key="live", data=data)
