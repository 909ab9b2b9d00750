"""A Plotly figure as plain data, as the library in the browser takes it.

Plotly's own classes check and copy every value on the way, which was a third of what a page's run
took. Here nothing is checked: a test holds every figure of the pages against Plotly's schema.
"""

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

# What the browser's typed arrays can hold; other numbers go as float64.
_TYPED = frozenset({"i1", "i2", "i4", "u1", "u2", "u4", "f4", "f8"})

Layout = dict[str, Any]


class Plot:
    """Traces and a layout, by Plotly's names.

    Attributes:
        data: the traces in drawing order.
        layout: the rest; its axes, "annotations" and "shapes" are there from the start.
    """

    __slots__ = ("data", "layout")

    def __init__(self, layout: Mapping[str, Any]) -> None:
        """Draw nothing yet."""
        self.data: list[dict[str, Any]] = []
        self.layout: Layout = {"annotations": [], "shapes": [], **layout}

    def add(self, kind: str, **trace: Any) -> None:
        """Add a trace; what is None is left out.

        Args:
            kind: Plotly's type of it, for instance "scatter".
            trace: arrays may be numpy's, NaN is a hole.
        """
        self.data.append({"type": kind} | {k: v for k, v in trace.items() if v is not None})

    def add_shape(self, **shape: Any) -> None:
        """Add a line or an area over or under the traces."""
        self.layout["shapes"].append(shape)

    def add_note(self, **note: Any) -> None:
        """Add a text at a place."""
        self.layout["annotations"].append(note)

    def to_json(self) -> str:
        """Return what the browser draws. Numbers of arrays are packed, NaN elsewhere is null."""
        figure = {"data": self.data, "layout": self.layout}
        return msgspec.json.encode(figure, enc_hook=_plain).decode()


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{type(value).__name__} in a figure")
    if value.dtype.kind not in "fiu":
        return value.tolist()
    name = value.dtype.str[1:]
    if name not in _TYPED:
        value, name = value.astype(np.float64), "f8"
    packed = {"dtype": name, "bdata": b64encode(value.tobytes()).decode()}
    if value.ndim == 1:
        return packed
    return packed | {"shape": ", ".join(map(str, value.shape))}
