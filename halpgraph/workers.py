"""Jobs side by side in forked processes, and what happens when one of them is killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from halpgraph.data.load import DataSet
from halpgraph.errors import RunError
from halpgraph.jobs import Job, run_job

_data: Mapping[str, DataSet] = {}  # of a worker: what it was forked with


def forked(wave: Sequence[Job], data: Mapping[str, DataSet], number: int) -> list[str | None]:
    """Do jobs in forked processes, which share this one's imports and data.

    Args:
        wave: the jobs, longest first.
        data: the data set of each cell.
        number: of processes.

    Returns:
        The message of each job's failure, None where it went well.

    Raises:
        RunError: a worker was killed (a plain pool would wait for it for ever).
    """
    context = multiprocessing.get_context("fork")
    pool = ProcessPoolExecutor(number, context, initializer=_begin, initargs=(data,))
    try:
        return [future.result() for future in [pool.submit(_work, job) for job in wave]]
    except BaseException as error:
        for worker in list((pool._processes or {}).values()):
            worker.terminate()
        if not isinstance(error, BrokenProcessPool):
            raise
        raise RunError(
            "a worker process was killed, perhaps for want of memory; what is done is kept, and "
            "the same command goes on from there (with --jobs 1 it takes the least memory)"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(data: Mapping[str, DataSet]) -> None:
    """Keep the data; leave Ctrl-C to the parent, which ends its workers, and end with it."""
    global _data
    _data = data
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    """Leave no worker behind a parent that was killed: it would hold the run's folder."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(job: Job) -> str | None:
    return run_job(job, _data[job.cell])
