"""A figure as plain data says what Plotly's own classes would say."""

import json
from base64 import b64decode

import numpy as np
import plotly.graph_objects as go
import pytest

from ui import charts
from ui.plot import Plot

COLUMNS = {
    "f8": np.array([1.5, np.nan, -2.0]),
    "f4": np.array([1.5, np.nan, -2.0], dtype=np.float32),
    "i4": np.array([3, -1, 2], dtype=np.int32),
    "i8": np.array([3, -1, 2**52]),
    "u1": np.array([3, 0, 255], dtype=np.uint8),
}


def as_plotly(plot: Plot) -> go.Figure:
    """Check a figure against Plotly's schema."""
    return go.Figure(json.loads(plot.to_json()))


def unpacked(value):
    if not isinstance(value, dict):
        return np.asarray(value)
    flat = np.frombuffer(b64decode(value["bdata"]), dtype=value["dtype"])
    shape = [int(n) for n in str(value.get("shape", flat.size)).split(",")]
    return flat.reshape(shape)


@pytest.mark.parametrize("kind", COLUMNS)
def test_column_arrives_as_plotly_would_send_it(kind):
    plot = Plot({})
    plot.add("scatter", x=COLUMNS[kind], y=COLUMNS[kind][::-1])
    ours = as_plotly(plot).to_dict()["data"][0]
    theirs = go.Figure(go.Scatter(x=COLUMNS[kind], y=COLUMNS[kind][::-1])).to_dict()["data"][0]
    for name in ("x", "y"):
        np.testing.assert_array_equal(unpacked(ours[name]), unpacked(theirs[name]))


def test_square_of_numbers_keeps_its_shape():
    grid = np.arange(6.0).reshape(2, 3)
    grid[1, 1] = np.nan
    plot = Plot({})
    plot.add("heatmap", z=grid, zmid=None, text=np.array([["a", "b", "c"]] * 2))
    drawn = as_plotly(plot).to_dict()["data"][0]
    np.testing.assert_array_equal(unpacked(drawn["z"]), grid)
    assert np.asarray(drawn["text"]).tolist() == [["a", "b", "c"]] * 2
    assert "zmid" not in drawn


def test_unknown_numbers_outside_arrays_are_null_and_numpys_are_numbers():
    plot = Plot({"height": np.int64(300)})
    plot.add("bar", x=[1.0, float("nan"), np.float64(2.0)], name=np.str_("a"))
    assert json.loads(plot.to_json()) == {
        "data": [{"type": "bar", "x": [1.0, None, 2.0], "name": "a"}],
        "layout": {"annotations": [], "shapes": [], "height": 300},
    }


def test_what_no_figure_holds_is_refused():
    plot = Plot({})
    plot.add("bar", x=[object()])
    with pytest.raises(TypeError, match="object in a figure"):
        plot.to_json()


def test_panels_lines_levels_and_marks_are_what_plotly_knows():
    """The first title stands outside the figure, where no legend can meet it."""
    plot = charts.figure(300, rows=(2, 1), titles=("First", "Second"))
    at = np.arange(3) * 60_000.0
    charts.add_line(plot, at, np.ones(3), "one", "#fff", panel=1, fill="tozeroy")
    charts.add_level(plot, 1.0, "#fff", panel=1)
    charts.add_mark(plot, 60_000.0, "#fff", width=2)
    drawn = as_plotly(plot)
    assert drawn.layout.meta["title"] == "First"
    assert [note.text for note in drawn.layout.annotations] == ["Second"]
    assert [shape.yref for shape in drawn.layout.shapes] == ["y2", "paper"]
    assert drawn.data[0].yaxis == "y2" and drawn.layout.xaxis.type == "date"


def test_misspelt_name_would_be_found():
    plot = charts.figure(300)
    plot.add("scatter", colour="#fff")
    with pytest.raises(ValueError, match="colour"):
        as_plotly(plot)
