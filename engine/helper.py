"""A small process beside the interface that keeps torch warm and answers questions about a run before it begins.

``python -m engine.helper`` reads ``helper_messages`` from stdin, a line each, and writes its answers to stdout, until
stdin ends. ``python -m engine.helper --download cifar10`` gets a dataset instead, in a process of its own, so that to
cancel is to end it; it writes ``progress`` events to stdout. ``python -m engine.helper --lr-find`` does likewise for
the learning-rate range test that one line on stdin asks for, and writes what each batch gave as well. This module
imports no torch: a download needs it last.
"""

import argparse
import contextlib
import gc
import os
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from types import FrameType
from typing import NoReturn

from engine.errors import UserError
from engine.events import Progress, encode
from engine.helper_messages import (
    HelperFailed,
    Reply,
    Request,
    Tried,
    decode_range_test,
    decode_request,
    encode_reply,
    encode_told,
)
from engine.text import clean, one_line

_NICENESS = 10


class _Output:
    """The real stdout, for whole lines alone: what else is printed in this process goes to stderr."""

    def __init__(self) -> None:
        self._file = os.fdopen(os.dup(1), "wb", buffering=0)
        os.dup2(2, 1)
        self._writing = threading.Lock()

    def write(self, line: bytes) -> None:
        """Write ``line``; may be called from any thread.

        Raises:
            BrokenPipeError: nobody reads any more.
        """
        rest = memoryview(line)
        with self._writing:
            while rest:
                rest = rest[self._file.write(rest) :]


class _Inbox:
    """The newest request of each kind that waits."""

    def __init__(self) -> None:
        self._waiting: dict[str, Request] = {}
        self._changed = threading.Condition()
        self.ended = False
        """Nothing comes any more."""

    def fill(self, lines: Iterable[bytes], refuse: Callable[[str], None]) -> None:
        """Take requests from ``lines`` until they end; ``refuse`` hears of what is none."""
        for line in lines:
            try:
                request = decode_request(line)
            except ValueError as error:
                refuse(f"not a request: {one_line(str(error), 300)}")
                continue
            with self._changed:
                self._waiting[request.kind] = request
                self._changed.notify()
        with self._changed:
            self.ended = True
            self._changed.notify()

    def take(self, *, wait: bool) -> Request | None:
        """Return a request; None: there is none, with ``wait`` never again."""
        with self._changed:
            if wait:
                self._changed.wait_for(lambda: self._waiting or self.ended)
            return self._waiting.pop(next(iter(self._waiting))) if self._waiting else None


def _serve(inbox: _Inbox, reply: Callable[[Reply], None]) -> None:
    """Answer until nothing comes any more; warm up in between, piece by piece, so that no answer waits for it."""
    # Collections in the middle of a large network take as long as the network: they wait for its answer.
    gc.disable()
    chores: deque[Callable[[], object]] = deque()
    chores.append(lambda: chores.extend([*_warm_ups(), gc.collect, gc.freeze]))
    while True:
        request = inbox.take(wait=not chores)
        if request is not None:
            reply(_answer(request))
            gc.collect()
        elif inbox.ended:
            return
        else:
            with contextlib.suppress(Exception):  # a request that meets it again says it
                chores.popleft()()


def _warm_ups() -> list[Callable[[], object]]:
    from engine.helper_answers import warm_ups

    return warm_ups()


def _answer(request: Request) -> Reply:
    try:
        from engine.helper_answers import answer

        return answer(request)
    except UserError as error:
        return HelperFailed(id=request.id, message=clean(str(error)))
    except Exception as error:
        traceback.print_exc()
        return HelperFailed(id=request.id, message=one_line(f"{type(error).__name__}: {error}"))


def _answer_requests(output: _Output) -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the interface's to act on
    if hasattr(os, "nice"):
        os.nice(_NICENESS)  # training comes first
    # A file of its own: at exit, Python waits for whoever still reads the one of sys.stdin.
    requests = os.fdopen(os.dup(0), "rb")

    def reply(message: Reply) -> None:
        output.write(encode_reply(message))

    def refuse(why: str) -> None:
        with contextlib.suppress(BrokenPipeError):
            reply(HelperFailed(id=0, message=why))

    inbox = _Inbox()
    threading.Thread(target=inbox.fill, args=(requests, refuse), daemon=True).start()
    _serve(inbox, reply)
    return 0


def _download(output: _Output, name: str, folder: Path | None) -> int:
    _end_in_order()
    with contextlib.closing(_made_ready(name, folder)) as work:
        for event in work:
            output.write(encode(event))
    return 0


def _made_ready(name: str, folder: Path | None) -> Generator[Progress, None, None]:
    from engine.data import cifar
    from engine.data.published import SPECS

    root = yield from cifar.make_ready(SPECS[name], folder)
    yield from cifar.verify_batches(SPECS[name], root)


def _find_lr(output: _Output) -> NoReturn:
    _end_in_order()
    try:
        wanted = decode_range_test(sys.stdin.buffer.readline())
    except ValueError as error:
        raise UserError(f"standard input: asks for no range test: {one_line(str(error), 300)}") from None
    from engine.lr_find import load_and_find_lr

    with contextlib.closing(load_and_find_lr(wanted.config, wanted.test, wanted.runs)) as work:
        for told in work:
            output.write(encode_told(told if isinstance(told, Progress) else Tried(lr=told.lr, loss=told.loss)))
    os._exit(0)  # all is written and closed; torch takes longer to end than a person waits for the result


def _end_in_order() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    """End on a signal by an exception, so that what is half there is removed."""
    sys.exit(128 + number)


def main() -> int:
    """Run as a process of its own; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m engine.helper", description=__doc__)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--download", choices=("cifar10", "cifar100"))
    what.add_argument("--lr-find", action="store_true")
    parser.add_argument("--data-dir", type=Path)
    arguments = parser.parse_args()
    output = _Output()
    try:
        if arguments.lr_find:
            return _find_lr(output)
        if arguments.download is not None:
            return _download(output, arguments.download, arguments.data_dir)
        return _answer_requests(output)
    except BrokenPipeError:  # whoever asked is gone
        return 0
    except UserError as error:
        print(f"error: {clean(str(error))}", file=sys.stderr)
        return error.exit_status


if __name__ == "__main__":
    sys.exit(main())
