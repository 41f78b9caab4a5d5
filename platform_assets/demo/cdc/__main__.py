"""``make local-up``, ``local-seed``, ``local-run``, ``local-test``, ``local-down``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import click

from platform_assets.demo.cdc.sample import EVENT, Sample
from platform_assets.settings import read_settings

START_SECONDS = 120
EXPECTED = {
    "claims/pipeline/filtered_pre/vl_pago/total": 1500.0,
    "claims/pipeline/filtered_pre/vl_pago/relative": 0.1875,
}


@click.group()
@click.pass_context
def main(context: click.Context) -> None:
    """The CDC monitor with its sample data, on this machine."""
    context.obj = Sample((read_settings().platform_home / "local").resolve())


@main.command()
@click.pass_obj
def up(sample: Sample) -> None:
    """Start afresh: sample tenants, sample tables, no messages."""
    _stop(sample)
    sample.start_afresh(read_settings().config_root)
    click.echo(f"seeded {sample.root / 'sources'}")


@main.command()
@click.pass_obj
def seed(sample: Sample) -> None:
    """The sample tables as they were at first."""
    sample.seed()
    click.echo(f"seeded {sample.root / 'sources'}")


@main.command()
@click.option("--port", default=8080, show_default=True)
@click.pass_obj
def run(sample: Sample, port: int) -> None:
    """Start the service in the background."""
    if not (sample.root / "configs").is_dir():
        sample.start_afresh(read_settings().config_root)
    _stop(sample)
    log = sample.root / "service.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "platform_assets.demo.cdc", "serve", "--port", str(port)],
            env=sample.environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    (sample.root / "service.pid").write_text(str(process.pid))
    end = time.monotonic() + START_SECONDS
    while "listening on" not in log.read_text():
        if process.poll() is not None or time.monotonic() > end:
            _stop(sample)
            raise click.ClickException(f"the service did not start:\n{log.read_text()[-2000:]}")
        time.sleep(0.1)
    click.echo(f"{log.read_text().strip()}; its log: {log}; make local-down stops it")


@main.command(hidden=True)
@click.option("--port", required=True, type=int)
def serve(port: int) -> None:
    """The service itself; its environment was made by ``run``."""
    from platform_assets.commands.serving import stop_when_told
    from platform_assets.demo.cdc.service import serve as listen

    stop_when_told()
    with suppress(KeyboardInterrupt):
        listen(port, read_settings().platform_home / "metrics.log")


@main.command()
@click.option("--port", default=8080, show_default=True)
@click.option("--event", default=EVENT, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.pass_obj
def test(sample: Sample, port: int, event: Path) -> None:
    """Post the sample event, show the points, and see that they are right."""
    import httpx

    try:
        answer = httpx.post(f"http://127.0.0.1:{port}", content=event.read_bytes(), timeout=120)
    except httpx.ConnectError:
        raise click.ClickException(f"nothing listens on port {port}; make local-run starts it") from None
    click.echo(f"{answer.status_code} {answer.text}".strip())
    lines = sample.metrics.read_text().splitlines() if sample.metrics.exists() else []
    click.echo("\n".join(lines))
    missing = [n for n, v in EXPECTED.items() if not any(f'"{n}", "value": {v},' in line for line in lines)]
    if answer.status_code != 204 or (event == EVENT and missing):
        raise click.ClickException(f"not as expected: {', '.join(missing) or answer.status_code}")


@main.command()
@click.pass_obj
def down(sample: Sample) -> None:
    """Stop the service; the data stay until the next ``up``."""
    click.echo("stopped" if _stop(sample) else "nothing was running")


def _stop(sample: Sample) -> bool:
    """End the service that ``run`` started, if it is still that one."""
    file = sample.root / "service.pid"
    if not file.exists():
        return False
    pid = int(file.read_text())
    file.unlink()
    command = Path(f"/proc/{pid}/cmdline")
    if Path("/proc").is_dir() and not (
        command.exists() and b"platform_assets.demo.cdc" in command.read_bytes()
    ):
        return False
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    main()
