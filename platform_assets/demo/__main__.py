"""``make demo`` runs the main job and prints what came out; ``make dev`` opens Dagster's UI on the same data."""

import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import click

from platform_assets.demo.home import prepare_home
from platform_assets.demo.provider_api import serve

DAYS = 7


@click.command()
@click.option("--serve", "open_ui", is_flag=True, help="Open the Dagster UI instead of running the job.")
@click.option(
    "--days", default=DAYS, show_default=True, help="How many complete days, ending yesterday (UTC)."
)
@click.option("--table", "tables", multiple=True, help="Only this logical table; may be given several times.")
@click.option("--port", default=3000, show_default=True, help="The UI's port, with --serve.")
def main(open_ui: bool, days: int, tables: tuple[str, ...], port: int) -> None:
    """Two tenants' OpenAI costs: from the bundled provider API to a monthly report in DuckDB."""
    home = prepare_home(Path(os.environ.get("PLATFORM_HOME", ".platform")))
    os.environ["DAGSTER_HOME"] = str(home.dagster)
    with serve(tokens=home.tokens) as api:
        os.environ["PLATFORM_PROVIDER_API"] = api.url
        if open_ui:
            sys.exit(_dagster_dev(port))
        yesterday = datetime.now(UTC).date() - timedelta(days=1)
        sys.exit(_run(yesterday - timedelta(days=days - 1), yesterday, tables))


def _dagster_dev(port: int) -> int:
    command = [sys.executable, "-m", "dagster", "dev", "--workspace", "workspace.yaml", "--port", str(port)]
    try:
        return subprocess.run(command, check=False).returncode
    except KeyboardInterrupt:
        return 0


def _run(first: date, last: date, tables: tuple[str, ...]) -> int:
    # Imported here: the environment above decides what the definitions are.
    from platform_assets.demo.report import print_report, snapshot
    from platform_assets.demo.run import materialize_days

    before = snapshot()
    run = materialize_days(first, last, tables)
    print_report(run, before, snapshot())
    return 0 if run.success else 1


if __name__ == "__main__":
    main()
