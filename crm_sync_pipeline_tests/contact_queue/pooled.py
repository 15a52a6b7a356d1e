"""PgBouncer before the embedded PostgreSQL, in transaction mode, for upgrades through it."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@contextmanager
def pooled(url: str, role: str = "postgres", pool_size: int = 3) -> Iterator[str]:
    """The URL of the same database through a pooler that is there for as long as the block runs."""
    if PGBOUNCER is None:
        pytest.skip("this machine has no pgbouncer")
    parsed = sa.engine.make_url(url)
    server = str(parsed.query["host"])
    owner = pwd.getpwuid(Path(server).stat().st_uid)
    with socket.socket() as free, tempfile.TemporaryDirectory() as folder:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        Path(folder).chmod(0o755)
        settings = Path(folder) / "pgbouncer.ini"
        settings.write_text(
            f"[databases]\n{parsed.database} = host={server} port={parsed.query['port']} dbname={parsed.database} "
            f"user={role}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = any\npool_mode = transaction\ndefault_pool_size = {pool_size}\n"
        )
        with (Path(folder) / "log").open("wb") as log:
            pooler = subprocess.Popen(
                [PGBOUNCER, str(settings)], stdout=log, stderr=log, user=owner.pw_uid if os.geteuid() == 0 else None
            )
        through = f"postgresql://{role}@127.0.0.1:{port}/{parsed.database}"
        try:
            _wait_for(through)
            yield through
        finally:
            pooler.terminate()
            pooler.wait(10)


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, "pgbouncer does not answer"
            time.sleep(0.02)
        else:
            return
