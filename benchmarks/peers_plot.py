"""Draw growth curves; run in matplotlib's environment.

Usage: python peers_plot.py CURVES.json OUT.svg. The file: a list of {title, x_label, x, y, slope},
y in seconds.
"""

import json
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt

mpl.rcParams["svg.fonttype"] = "none"
mpl.rcParams["svg.hashsalt"] = "growth"  # the same curves give the same file


def main() -> None:
    """Draw all curves, one small plot each."""
    curves = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    across = 3
    down = -(-len(curves) // across)
    figure, axes = plt.subplots(down, across, figsize=(4 * across, 3 * down), squeeze=False)
    for ax, curve in zip(axes.flat, curves, strict=False):
        ax.loglog(curve["x"], curve["y"], "o-", color="#1f6fb2")
        ax.set_title(f"{curve['title']}: slope {curve['slope']:.2f}", fontsize=9)
        ax.set_xlabel(curve["x_label"], fontsize=8)
        ax.set_ylabel("seconds", fontsize=8)
        ax.tick_params(labelsize=7)
        ax.grid(visible=True, which="both", alpha=0.25)
    for ax in list(axes.flat)[len(curves) :]:
        ax.set_visible(False)
    figure.tight_layout()
    figure.savefig(sys.argv[2], metadata={"Date": None})
    print(json.dumps({"curves": len(curves)}))


if __name__ == "__main__":
    main()
