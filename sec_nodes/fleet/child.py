"""Run a module as `python -m` would, but never outlive the process that started it.

    python -m sec_nodes.fleet.child PARENT_PID SIGNAL MODULE [ARGUMENT ...]

The kernel sends SIGNAL when the parent dies, even by kill -9. Started from the child itself and
not between fork and exec, since the parent has threads by then.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys
import threading
import time

PR_SET_PDEATHSIG = 1
GRACE_S = 5.0
"""What an orphan has to finish its work, where its signal lets it."""


def tie_to_parent(parent: int, number: signal.Signals) -> None:
    """Ask for a signal at the parent's death, and make sure that it is obeyed.

    Args:
        parent: process that must stay alive.
        number: the signal.
    """
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if os.getppid() != parent:  # it died before the kernel knew of our wish
        os._exit(1)
    if number is not signal.SIGKILL:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    time.sleep(GRACE_S)
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Tie this process to its parent and become the module."""
    parent, number, module = int(sys.argv[1]), signal.Signals[sys.argv[2]], sys.argv[3]
    tie_to_parent(parent, number)
    # a shell that starts us in the background has SIGINT ignored; we are to be stopped by it
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv[:] = [module, *sys.argv[4:]]
    runpy.run_module(module, run_name='__main__', alter_sys=True)


if __name__ == '__main__':
    main()
