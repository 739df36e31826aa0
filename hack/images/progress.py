"""What is being done, live on a terminal and as plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

console = Console(stderr=True, highlight=False)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Show that something is being done, then how long it took or that it failed."""
    start = time.monotonic()
    mark = "failed"
    try:
        if console.is_terminal:
            with console.status(what):
                yield
        else:
            print(f"{what} …", file=sys.stderr, flush=True)
            yield
        mark = "done"
    finally:
        seconds = time.monotonic() - start
        if console.is_terminal:
            colour = "green" if mark == "done" else "red"
            console.print(f"[{colour}]{mark:>6}[/] {what} [dim]{seconds:.1f} s[/]")
        else:
            print(f"{mark} {what}: {seconds:.1f} s", file=sys.stderr, flush=True)
