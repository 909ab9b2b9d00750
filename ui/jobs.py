"""Long work off the page's thread: one job per name and tab, with progress and cancel.

A page asks for a job under a key that says what it is about. The same key finds the job again, in
whatever state it is; another key cancels the old one. Workers never touch Streamlit.
"""

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from model import PairsError
from ui.frame import guarded
from ui.numbers import plain

WORKERS = 2
PATIENCE_S = 0.25
POLL_S = 0.5


class Cancelled(Exception):
    """The job was told to stop."""


@dataclass(slots=True)
class Progress:
    """How far a job is. The worker reports, the page reads and may cancel."""

    fraction: float = 0.0
    text: str = ""
    started_s: float = field(default_factory=time.monotonic)
    _cancelled: threading.Event = field(default_factory=threading.Event)

    def report(self, done: float, total: float = 1.0, text: str = "") -> None:
        """Say how far the work is.

        Raises:
            Cancelled: somebody wants it to stop.
        """
        if self._cancelled.is_set():
            raise Cancelled
        self.fraction = min(1.0, done / total) if total else 0.0
        self.text = text or self.text

    def note(self, fraction: float) -> None:
        """Say how far the work is, from a thread that must not be stopped by an exception."""
        self.fraction = min(1.0, max(0.0, fraction))

    def cancel(self) -> None:
        """Ask the worker to stop at its next report."""
        self._cancelled.set()

    def is_cancelled(self) -> bool:
        """Whether the worker was asked to stop."""
        return self._cancelled.is_set()


@dataclass(slots=True)
class Job:
    """Work under way or done."""

    key: Hashable
    future: Future[Any]
    progress: Progress

    @property
    def is_done(self) -> bool:
        """Whether there is a result or an error."""
        return self.future.done()

    def wait(self, patience_s: float = PATIENCE_S) -> bool:
        """Wait until the job is so old; most work is done by then. Returns whether it is."""
        age_s = time.monotonic() - self.progress.started_s
        try:
            self.future.exception(max(0.0, patience_s - age_s))
        except (TimeoutError, Exception):  # the error is raised where the result is asked for
            return self.future.done()
        return True

    def result(self) -> Any:
        """The result.

        Raises:
            Exception: what the work raised.
        """
        return self.future.result()


_room = threading.BoundedSemaphore(WORKERS)


def _submit(work: Callable[[Progress], Any], progress: Progress) -> Future[Any]:
    """Run `work` on a thread of its own; a daemon, so that it never holds up the process's end."""
    future: Future[Any] = Future()

    def run() -> None:
        with _room:
            if not future.set_running_or_notify_cancel():
                return
            try:
                progress.report(0.0)
                future.set_result(work(progress))
            except Exception as error:  # the top of this thread: raised where the result is read
                future.set_exception(error)

    threading.Thread(target=run, name="page-job", daemon=True).start()
    return future


def start(name: str, key: Hashable, work: Callable[[Progress], Any]) -> Job:
    """Return this tab's job `name` about `key`, started if it is not there yet."""
    held = current(name)
    if held is not None and held.key == key:
        return held
    if held is not None:
        held.progress.cancel()
    progress = Progress()
    job = Job(key, _submit(work, progress), progress)
    st.session_state[_slot(name)] = job
    return job


def current(name: str) -> Job | None:
    """This tab's job of that name, if any."""
    job: Job | None = st.session_state.get(_slot(name))
    return job


def forget(name: str) -> None:
    """Cancel and drop a job."""
    job = st.session_state.pop(_slot(name), None)
    if job is not None:
        job.progress.cancel()


def outcome(name: str) -> Any:
    """Return the result of a finished job; None, with the reason in words, if there is none."""
    job = current(name)
    if job is None:
        return None
    try:
        return job.result()
    except PairsError as error:
        st.info(plain(str(error)), icon=":material/info:")
    except (Cancelled, CancelledError):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption("Cancelled.", width="content")
            st.button("Run again", key=f"_again_{name}", on_click=forget, args=(name,))
    return None


def _slot(name: str) -> str:
    return f"_job_{name}"


@st.fragment(run_every=POLL_S)
def watch(name: str, label: str) -> None:
    """Show a job's progress with a way to cancel; run the page again once it is done."""
    _watch(name, label)


@guarded
def _watch(name: str, label: str) -> None:
    job = current(name)
    if job is None or job.is_done:
        st.rerun()
        return
    progress = job.progress
    with st.container(horizontal=True, vertical_alignment="center"):
        seconds = time.monotonic() - progress.started_s
        what = "Cancelling" if progress.is_cancelled() else f"{label} {progress.text}"
        st.progress(progress.fraction, text=f"{what} · {seconds:.0f} s", width="stretch")
        st.button("Cancel", key=f"_cancel_{name}", on_click=progress.cancel)
