"""The pair's numbers beside statsmodels and pykalman: `bench_analytics.py` in the common form."""

from benchmarks.printed import lines_of, table_of
from benchmarks.report import Section


def run(quick: bool) -> Section:
    """Run the script; it takes about two minutes, and one and a half more when not quick."""
    header, rows, rest = table_of(lines_of("bench_analytics.py", *([] if quick else ["--full"])))
    return Section(
        title="Numbers of a pair",
        sentence=(
            "CPU time of the calling thread, least of the repeats: kernels on outputs allocated "
            "before, peers as they are called; the error is the greatest difference."
        ),
        columns=header,
        rows=rows,
        notes=rest,
    )
