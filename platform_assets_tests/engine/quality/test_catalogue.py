"""The catalogue lists what the modules register, and every expectation says what it means."""

import json
import subprocess
import sys

from platform_assets.engine.quality.catalogue import MODULES, load_all


def test_the_catalogue_is_what_the_modules_register() -> None:
    kinds = load_all()
    registered = {name: cls.__module__.rpartition(".")[2] for name, cls in kinds.items()}
    assert registered == dict(MODULES)


def test_great_expectations_core_is_there() -> None:
    ours_only = {
        "expect_column_statistic_to_match_history",
        "expect_column_sum_to_equal_other_table",
        "expect_column_values_to_satisfy",
        "expect_table_row_count_to_match_history",
        "expect_table_schema_to_match",
        "freshness_check",
    }
    assert ours_only < set(MODULES)
    assert len(set(MODULES) - ours_only) == 56


def test_only_the_modules_that_a_suite_uses_are_imported() -> None:
    script = (
        "import json, sys\n"
        "from platform_assets.engine.quality.suite import parse_suite\n"
        "from platform_assets.engine.schema.model import Field, FieldType, TableSchema\n"
        "schema = TableSchema((Field('a', FieldType.INT64),))\n"
        "parse_suite([{'type': 'expect_column_values_to_not_be_null', 'column': 'a'}], schema)\n"
        "print(json.dumps(sorted(m for m in sys.modules if 'quality.' in m or m == 'sqlglot')))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = {name.rpartition(".")[2] for name in json.loads(done.stdout)}
    assert "column_map" in loaded
    assert not loaded & {"sqlglot", "column_aggregate", "columns", "texts", "history", "scope"}
