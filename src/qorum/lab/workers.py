"""Trials on all processors."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing import get_context

from qorum.lab.journal import Journal, Record
from qorum.lab.trial import Trial

_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def run_all(trials: Sequence[Trial], journal: Journal, progress: Callable[[float], None]) -> None:
    """Run those trials that the journal does not hold, each kept there as soon as it is done."""
    missing = [trial for trial in dict.fromkeys(trials) if trial not in journal]
    progress(1 - len(missing) / len(trials) if trials else 1.0)
    if not missing:
        return
    with _one_thread_each(), ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        running = {pool.submit(_run, trial): trial for trial in missing}
        try:
            for left, future in enumerate(as_completed(running), start=1 - len(missing)):
                journal.add(running[future], future.result())
                progress(1 + left / len(trials))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _run(trial: Trial) -> Record:
    return trial.run()


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes started now do their linear algebra in one thread: there is one of them for each processor."""
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value
