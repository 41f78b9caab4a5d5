"""What the code location gets of the inbox: one sensor per queue, the dead letters as an asset, compaction."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import dagster as dg

from platform_assets.assets.inbox.sensor import QueueSource, inbox_of, queue_sensor
from platform_assets.engine.inbox.model import DeadLetter
from platform_assets.engine.inbox.spec import InboxSpec
from platform_assets.resources.adapter import AdapterResource

DEAD_LETTER_KEY = dg.AssetKey(["inbox", "dead_letter"])
COMPACTION_KEY = dg.AssetKey(["inbox", "compaction"])
SHOWN = 20


def build_inbox(
    sources: Sequence[QueueSource],
    spec: InboxSpec,
    *,
    sensors_enabled: bool,
    schedules_enabled: bool,
    suspended: frozenset[str] = frozenset(),
) -> dg.Definitions:
    """Sensors of ``sources``, ``inbox/dead_letter`` with its check, and the job ``inbox_compaction``.

    Needs the resources ``object_store`` and each source's queue. No run is asked for for ``suspended`` tenants.
    """
    names = sorted(source.name for source in sources)
    assets = [_dead_letter_asset(names), _compaction_asset(names, spec)]
    look = dg.define_asset_job("inbox_dead_letters", selection=dg.AssetSelection.assets(DEAD_LETTER_KEY))
    compact = dg.define_asset_job("inbox_compaction", selection=dg.AssetSelection.assets(COMPACTION_KEY))
    status = dg.DefaultScheduleStatus.RUNNING if schedules_enabled else dg.DefaultScheduleStatus.STOPPED
    return dg.Definitions(
        assets=assets,
        jobs=[look, compact],
        schedules=[
            dg.ScheduleDefinition(job=look, cron_schedule="5 * * * *", default_status=status),
            dg.ScheduleDefinition(job=compact, cron_schedule="40 3 * * *", default_status=status),
        ],
        sensors=[
            queue_sensor(replace(source, suspended=suspended), spec, enabled=sensors_enabled)
            for source in sources
        ],
    )


def _dead_letter_asset(names: Sequence[str]) -> dg.AssetsDefinition:
    check = dg.AssetCheckSpec("is_empty", asset=DEAD_LETTER_KEY, description="No message has been given up.")

    @dg.asset(
        key=DEAD_LETTER_KEY,
        group_name="inbox",
        check_specs=[check],
        description="Messages given up: undecodable, of an unknown tenant or day, refused, attempts used up. "
        "Look at them with `platform-assets inbox list`; `replay` or `drop` takes them away.",
    )
    def dead_letter(object_store: AdapterResource) -> dg.MaterializeResult:
        inboxes = [inbox_of(object_store.adapter(), name) for name in names]
        counts = {inbox.source: inbox.sizes()["dead_letters"] for inbox in inboxes}
        keys = sorted(key for inbox in inboxes for key in inbox.dead_letter_keys())
        newest = [inbox.letter(key) for inbox in inboxes for key in keys[-SHOWN:] if inbox.owns(key)]
        total = sum(counts.values())
        return dg.MaterializeResult(
            metadata={
                "dead_letters": total,
                **{f"dead_letters/{name}": count for name, count in counts.items()},
                "newest": dg.MetadataValue.md(_table([letter for letter in newest if letter])),
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name="is_empty",
                    passed=total == 0,
                    severity=dg.AssetCheckSeverity.WARN,
                    metadata={"dead_letters": total},
                )
            ],
        )

    return dead_letter


def _table(letters: Sequence[DeadLetter]) -> str:
    head = "| source | message | partition | attempts | reason |\n|---|---|---|---|---|\n"
    rows = (
        f"| {_cell(x.source)} | {_cell(x.message.id)} | {_cell(x.partition or '')} | {x.attempts} | {_cell(x.reason)} |"
        for x in letters
    )
    return head + "\n".join(rows)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())[:200]


def _compaction_asset(names: Sequence[str], spec: InboxSpec) -> dg.AssetsDefinition:
    @dg.asset(
        key=COMPACTION_KEY,
        group_name="inbox",
        description=f"Deletes what was applied more than {spec.retention_days} days ago; nothing that waits, "
        "no dead letter.",
    )
    def compaction(object_store: AdapterResource) -> dg.MaterializeResult:
        cutoff = datetime.now(UTC) - timedelta(days=spec.retention_days)
        inboxes = [inbox_of(object_store.adapter(), name) for name in names]
        deleted = {inbox.source: inbox.forget_before(cutoff) for inbox in inboxes}
        waiting = {inbox.source: inbox.sizes()["messages_waiting"] for inbox in inboxes}
        return dg.MaterializeResult(
            metadata={
                **{f"objects_deleted/{name}": count for name, count in deleted.items()},
                **{f"messages_waiting/{name}": count for name, count in waiting.items()},
            }
        )

    return compaction
