"""One palette for every chart and card. Surfaces and text come from Streamlit's own theme.

Direction is blue (long) and orange (short), which stay apart for every common colour blindness;
green and red appear only together with an arrow or a mark.
"""

from typing import Literal

import streamlit as st

Mode = Literal["dark", "light"]

PALETTE: dict[Mode, dict[str, str]] = {
    "dark": {
        "y": "#45c9b5",
        "x": "#b79cff",
        "long": "#5aa9ff",
        "short": "#ff9a4d",
        "good": "#3fd08c",
        "bad": "#ff7077",
        "warning": "#f2c94c",
        "neutral": "#8f9bb0",
        "ink": "#dfe5ef",
        "muted": "#9aa5b8",
        "paper": "#0e1117",
        "grid": "rgba(154,165,184,0.14)",
        "band": "rgba(154,165,184,0.16)",
        "kalman": "#e58fc4",
        "kalmanBand": "rgba(229,143,196,0.18)",
    },
    "light": {
        "y": "#0a7d70",
        "x": "#6842c2",
        "long": "#0b5fc0",
        "short": "#b34d06",
        "good": "#0a7545",
        "bad": "#c02631",
        "warning": "#8a5f00",
        "neutral": "#5d687b",
        "ink": "#1d2430",
        "muted": "#566074",
        "paper": "#ffffff",
        "grid": "rgba(60,72,95,0.13)",
        "band": "rgba(60,72,95,0.12)",
        "kalman": "#a8337b",
        "kalmanBand": "rgba(168,51,123,0.14)",
    },
}


def mode() -> Mode:
    """The theme of the pages: the server's, without theme sections nobody can change it.

    What the browser reports (st.context.theme) is the system's preference on the first run.
    """
    return "light" if st.get_option("theme.base") == "light" else "dark"


def colors() -> dict[str, str]:
    """The palette of this browser's theme."""
    return PALETTE[mode()]
