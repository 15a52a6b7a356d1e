"""The old path of `orchestration.instance_storage`, which a `dagster.yaml` of before names."""

from crm_sync_pipeline.orchestration.instance_storage import ArtifactsBelowHome, PostgresOrSqliteStorage

__all__ = ["ArtifactsBelowHome", "PostgresOrSqliteStorage"]
