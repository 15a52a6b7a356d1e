"""Metrics for whoever has Prometheus."""

import threading
from contextlib import suppress

import click
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.openmetrics.exposition import generate_latest

from crm_sync_pipeline.cli.db import database
from crm_sync_pipeline.destinations import DESTINATIONS
from crm_sync_pipeline.domain.errors import CrmSyncError
from crm_sync_pipeline.monitoring.metrics import QueueCollector

CONNECT_SECONDS = 3
"""Prometheus gives a scrape 10 s, and connecting is tried twice."""


@click.command(name="metrics")
@click.option("--serve", is_flag=True, help="Answer scrapes until Ctrl-C, instead of printing once.")
@click.option("--port", type=click.IntRange(0, 65535), default=9464, show_default=True, help="0 takes any free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0 lets other machines in: there is no key.")
def show_metrics(serve: bool, port: int, host: str) -> None:
    """Print the queue's metrics as OpenMetrics, or --serve them to Prometheus.

    Counters of attempts begin at 0 with the process, so they are worth something only when served. Nothing personal is
    in them.
    """
    registry = CollectorRegistry()
    source = database().giving_up_after(CONNECT_SECONDS)
    registry.register(QueueCollector(source, list(DESTINATIONS)))
    try:
        if serve:
            _serve(registry, host, port)
        else:
            text: bytes = generate_latest(registry)  # type: ignore[no-untyped-call] # it is left untyped there
            click.echo(text.decode(), nl=False)
    finally:
        source.engine.dispose()


def _serve(registry: CollectorRegistry, host: str, port: int) -> None:
    try:
        server, _ = start_http_server(port, host, registry)
    except OSError as error:
        raise CrmSyncError(
            f"Metrics can't be served at {host}:{port}: {error.strerror or error}. Nothing was started. Choose another "
            "--port or --host."
        ) from None
    click.echo(f"Metrics are at http://{host}:{server.server_port}/metrics until you press Ctrl-C.")
    with suppress(KeyboardInterrupt):
        _wait()
    server.shutdown()
    server.server_close()


def _wait() -> None:
    threading.Event().wait()
