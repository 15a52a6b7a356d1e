"""Runs one PostgreSQL server for as long as somebody uses it; started by postgres.py, stdlib only.

It is the server's parent, so it never signals a process that is not the server. Who uses the server holds a shared
lock on the users file; the kernel drops that lock however the process ends. Waiting for the exclusive lock is waiting
for the last user to go, and holding it keeps new ones waiting until the server is down.

Arguments: users file, directory to delete at the end ("" for none), user id and group id for the server (heeded when
we are root), the server's command line. The caller hands over an inherited lock, held until this process ends.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

_PATIENCE_SECONDS = 10.0


def keep(users: Path, delete: str, uid: int, gid: int, command: list[str]) -> None:
    """Run `command` until nobody holds a lock on `users` any more."""
    waiting = os.open(users, os.O_RDWR)
    root = os.geteuid() == 0
    server = subprocess.Popen(
        command, user=uid if root else None, group=gid if root else None, extra_groups=[] if root else None
    )
    unused = threading.Event()

    def end_with_server() -> None:
        server.wait()
        if unused.is_set() and delete:
            shutil.rmtree(delete, ignore_errors=True)
        os._exit(0)

    threading.Thread(target=end_with_server, daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: server.send_signal(signal.SIGINT))
    fcntl.flock(waiting, fcntl.LOCK_EX)
    unused.set()
    server.send_signal(signal.SIGINT)  # fast shutdown: connections are cut, nothing committed is lost
    time.sleep(_PATIENCE_SECONDS)
    server.send_signal(signal.SIGQUIT)  # immediate shutdown: the next start recovers from the log
    signal.pause()


if __name__ == "__main__":
    if os.fork():
        os._exit(0)  # the caller waits for this one alone; nobody has to reap the other
    keep(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5:])
