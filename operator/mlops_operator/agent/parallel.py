"""Many small jobs in a few threads, with memory for a few of them at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


def in_parallel(function: Callable[[T], None], items: Iterable[T], workers: int) -> None:
    """Call a function for every item, which are taken one at a time.

    The first error stops the taking of further items; it is raised when those under way have ended.
    """
    lock = threading.Lock()
    iterator = iter(items)
    errors: list[BaseException] = []

    def work() -> None:
        while True:
            with lock:
                if errors:
                    return
                try:
                    item = next(iterator)
                except StopIteration:
                    return
                except BaseException as error:  # noqa: BLE001 - raised below, in the caller's thread
                    errors.append(error)
                    return
            try:
                function(item)
            except BaseException as error:  # noqa: BLE001
                with lock:
                    errors.append(error)
                return

    threads = [
        threading.Thread(target=work, name=f"parallel-{number}", daemon=True) for number in range(workers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
