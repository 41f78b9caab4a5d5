# ruff: noqa: E501
"""Everything that can be wrong, one thing at a time: exactly one problem, at its file, line and field.

The line is that of the first text ``mark`` in the changed file. ``reason`` is searched as a regular expression.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pytest

from platform_assets.config import load
from platform_assets.engine.errors import ConfigError, Problem
from platform_assets_tests.config.tree import GOOD, OWN, REPORTING, SHOP, write_tree

ACME, GLOBEX = "tenants/acme1281.yml", "tenants/globex.yml"
LOCAL, PROVIDER = "deployments/local.yml", "providers/shop.yml"
PIPELINE, REPORT = f"{SHOP}/pipeline.yml", f"{REPORTING}/pipeline.yml"
DQ, ORDERS, SQL = f"{SHOP}/dq.yml", f"{SHOP}/orders_schema.json", f"{SHOP}/to_costs.sql"
KEY = "sk-" + "x" * 30  # made here, so that no file holds anything like a key


@dataclass(frozen=True)
class Case:
    """Replace ``old`` by ``new`` in ``file`` (without ``old``: write the whole file; None: delete it)."""

    name: str
    file: str
    old: str
    new: str | bytes | None
    mark: str
    field: str
    reason: str
    nearest: str | None = None
    at: str = ""  # the file of the problem, where it is another one
    extra: Mapping[str, str] = field(default_factory=dict)  # files that the change needs to stand alone

    def files(self) -> dict[str, str | bytes]:
        files: dict[str, str | bytes] = {**GOOD, **self.extra}
        if self.new is None:
            del files[self.file]
        elif not self.old:
            files[self.file] = self.new
        else:
            assert self.old in GOOD[self.file], self.name
            assert isinstance(self.new, str)
            files[self.file] = GOOD[self.file].replace(self.old, self.new, 1)
        return files

    def line(self, files: Mapping[str, str | bytes]) -> int:
        text = files.get(self.at or self.file, "")
        text = text.decode("latin-1") if isinstance(text, bytes) else text
        if not self.mark:
            return 1
        assert self.mark in text, self.name
        return text[: text.index(self.mark)].count("\n") + 1


# One case per line.
# fmt: off
C = Case
YAML = [
    C('syntax', ACME, '', 'tenant: [', '', '', 'not valid YAML'),
    C('not utf-8', ACME, '', b'tenant: acme1281\ndisplay_name: \xff\n', 'display_name', '', 'not UTF-8'),
    C('control character', ACME, '', 'tenant: acme1281\ndisplay_name: \x07\n', '', '', 'not valid YAML'),
    C('empty', ACME, '', '', '', '', 'is empty'),
    C('only a comment', ACME, '', '# nothing\n', '', '', 'is empty'),
    C('a list', ACME, '', '- tenant\n', '', '', 'must be a mapping'),
    C('two documents', ACME, 'default_currency: EUR\n', '---\na: 1\n', '---\na', '', 'several documents'),
    C('duplicate key', ACME, 'timezone: Europe/Berlin', 'tenant: acme1281', 'tenant: acme1281\ndefault', 'tenant', 'stands twice; the first is in line 1'),
    C('anchor', ACME, 'timezone: Europe/Berlin', 'timezone: &t UTC', '&t', 'timezone', 'anchor or alias'),
    C('merge key', ACME, 'timezone: Europe/Berlin', '<<: {timezone: UTC}', '<<', '', 'merge key'),
    C('tag', ACME, 'timezone: Europe/Berlin', 'timezone: !!python/name:os.system x', 'timezone', 'timezone', 'tag'),
    C('key that is a number', ACME, 'timezone: Europe/Berlin', '5: x', '5: x', '', 'not text'),
    C('key that is a list', ACME, 'timezone: Europe/Berlin', '[a]: x', '[a]', '', 'keys are text'),
    C('nesting', ACME, 'timezone: Europe/Berlin', f"timezone: {'[' * 40}{']' * 40}", 'timezone', '', 'nested deeper'),
    C('deep nesting', ACME, '', 'a: ' + '[' * 50000, '', '', 'nested deeper'),
    C('too long', ACME, '', '# ' + 'x' * 1000001, '', '', 'bytes long'),
]
VALUES = [
    C('unknown key', ACME, 'timezone:', 'timezon:', 'timezon:', 'timezon', 'not known here', 'timezone'),
    C('nested unknown key', ACME, '    secret: shop_key', '    secret: shop_key\n    secrt: x', 'secrt', 'credentials[0].secrt', 'known: id, parameters', 'secret'),
    C('missing key', ACME, 'display_name: Acme\n', '', '', 'display_name', 'is missing'),
    C('missing key in a list', ACME, '  - id: main\n    provider: shop', '  - provider: shop', '  - provider', 'credentials[0].id', 'is missing'),
    C('text for a number', ACME, 'timezone: Europe/Berlin', 'fiscal_year_start_month: "4"', 'fiscal', 'fiscal_year_start_month', "whole number, not '4'"),
    C('true for a number', ACME, 'timezone: Europe/Berlin', 'fiscal_year_start_month: true', 'fiscal', 'fiscal_year_start_month', 'whole number'),
    C('number for text', ACME, 'display_name: Acme', 'display_name: 7', 'display_name', 'display_name', 'must be text, not 7'),
    C('out of range', ACME, 'timezone: Europe/Berlin', 'fiscal_year_start_month: 13', 'fiscal', 'fiscal_year_start_month', 'at most 12, not 13'),
    C('wrong choice', ACME, 'timezone: Europe/Berlin', 'status: actve', 'status', 'status', 'one of active, suspended', 'active'),
    C('neither all nor a list', ACME, 'pipelines: all', 'pipelines: al', 'pipelines', 'pipelines', 'one of all.*or must be a list', 'all'),
    C('yes is text', PROVIDER, '', 'provider: shop\ndisplay_name: no\nbase_url: https://x.example\nauth: {type: bearer}\ntimeout_seconds: yes\n', 'timeout', 'timeout_seconds', 'number'),
    C('unknown type', PIPELINE, '    type: ingest', '    type: injest', '  - step_id: orders', 'steps[0]', 'one of compute, ingest|one of ingest', 'ingest'),
    C('no type', PIPELINE, '    type: ingest\n', '', '  - step_id: orders', 'steps[0]', 'needs a type'),
    C('deep unknown key', PIPELINE, '        token_path: next_page', '        token_path: next_page\n        has_more: x', 'has_more', 'steps[0].source.pagination.has_more', 'not known', 'has_more_path'),
    C('bad column name', PIPELINE, '        amount: total.value', '        9amount: total.value', '9amount', 'steps[0].source.columns.9amount', 'does not match'),
    C('bad table name', REPORT, 'gold_reporting.daily', 'daily', 'table: daily', 'steps[1].destination.table', 'does not match'),
    C('too many cluster columns', PIPELINE, '[region]', '[region, currency, day, amount, order_id]', 'cluster_by', 'steps[0].destination.cluster_by', 'at most 4'),
    C('no steps', f'{OWN}/pipeline.yml', '', 'pipeline_id: own_sales\nprovider: shop\ndomain: sales\nsteps: []\n', 'steps', 'steps', 'at least 1'),
    C('zero money', ACME, 'amount: 1000.10', 'amount: 0', 'amount', 'budgets[0].amount', 'more than 0'),
    C('endless money', ACME, 'amount: 1000.10', 'amount: .inf', 'amount', 'budgets[0].amount', 'finite'),
    C('two ids', ACME, 'budgets:\n', 'budgets:\n  - {id: everything, amount: 1, currency: EUR}\n', '', '', 'budget ids must be unique'),
]
NAMES = [
    C('tenant is not its file', ACME, 'tenant: acme1281', 'tenant: acme1282', 'tenant', 'tenant', 'file is named acme1281.yml', 'acme1281'),
    C('tenant id', 'tenants/AB.yml', '', 'tenant: AB\ndisplay_name: x\n', 'tenant', 'tenant', 'does not match'),
    C('tenant named like a folder', 'tenants/metrics.yml', '', 'tenant: metrics\ndisplay_name: x\n', '', 'tenant', 'is a folder'),
    C('provider is not its file', 'providers/weather.yml', 'provider: weather', 'provider: wether', 'provider', 'provider', 'file is named', 'weather'),
    C('deployment is not its file', LOCAL, 'deployment: local', 'deployment: prod', 'deployment', 'deployment', 'file is named', 'local'),
    C('yaml ending', 'tenants/initech.yaml', '', 'tenant: initech\n', '', '', 'ends in \\.yaml', 'initech.yml'),
    C('pipeline is not its folder', PIPELINE, 'pipeline_id: shop_costs', 'pipeline_id: shop_cost', 'pipeline_id', 'pipeline_id', "folder says 'shop_costs'", 'shop_costs'),
    C('provider is not its folder', PIPELINE, 'provider: shop', 'provider: weather', 'provider', 'provider', "folder says 'shop'", 'shop'),
    C('domain is not its folder', PIPELINE, 'domain: cost', 'domain: costs', 'domain', 'domain', "folder says 'cost'", 'cost'),
    C('pipeline in the wrong place', 'pipelines/shop/pipeline.yml', '', 'x: 1', '', '', 'wrong place; put it at pipelines/<provider>'),
    C('folder without pipeline.yml', 'pipelines/shop/cost/other/a.sql', '', 'SELECT 1', '', '', 'has no pipeline.yml', None, 'pipelines/shop/cost/other/'),
    C('misnamed dq', f'{REPORTING}/dq.yaml', '', 'suites: []', '', '', 'is not read', 'dq.yml'),
    C('folder of nobody', 'acme1218/shop/sales/s/pipeline.yml', '', 'x: 1', '', '', 'neither a folder', 'acme1281', 'acme1218/'),
    C('step ids', PIPELINE, 'step_id: to_costs', 'step_id: orders', '  - step_id: orders\n    type: transform', 'steps[1].step_id', 'steps\\[0\\] too'),
    C('pipeline ids', 'acme1281/shop/sales/reporting/pipeline.yml', '', GOOD[f'{OWN}/pipeline.yml'].replace('own_sales', 'reporting').replace('gold_sales.own', 'gold_sales.too'), 'pipeline_id', 'pipeline_id', 'is the id of pipelines/platform/cost/reporting', None, '', {f'acme1281/shop/sales/reporting/{name}': GOOD[f'{OWN}/{name}'] for name in ('sales.sql', 'own_schema.json')}),
]
FILES = [
    C('no schema file', PIPELINE, 'schema_file: orders_schema.json', 'schema_file: order_schema.json', 'schema_file', 'steps[0].destination.schema_file', 'no file', 'orders_schema.json'),
    C('no sql file', PIPELINE, 'sql_file: to_costs.sql', 'sql_file: to_cost.sql', 'sql_file', 'steps[1].sql_file', 'no file', 'to_costs.sql'),
    C('path out of the folder', PIPELINE, 'sql_file: to_costs.sql', 'sql_file: ../x/to_costs.sql', 'sql_file', 'steps[1].sql_file', 'inside the pipeline folder'),
    C('absolute path', PIPELINE, 'sql_file: to_costs.sql', 'sql_file: /etc/passwd', 'sql_file', 'steps[1].sql_file', 'inside the pipeline folder'),
    C('schema is not JSON', ORDERS, '', '[\n  {"name": "order_id",\n]', ']', '', 'not valid JSON'),
    C('schema with a duplicate key', ORDERS, '"type": "NUMERIC"', '"type": "NUMERIC", "type": "STRING"', 'amount', '[1].type', 'stands twice'),
    C('schema with an unknown type', ORDERS, '"NUMERIC"', '"NUMBER"', 'amount', 'fields[1].type', 'not a column type', 'NUMERIC'),
    C('schema with an unknown key', ORDERS, '"type": "NUMERIC"', '"type": "NUMERIC", "nullable": true', 'amount', 'fields[1].nullable', 'not supported', 'name'),
    C('schema with a column twice', ORDERS, '"name": "currency"', '"name": "Amount"', 'Amount', 'fields[2].name', 'declared twice'),
    C('standard column of another type', ORDERS, '"name": "day", "type": "DATE"}', '"name": "day", "type": "DATE"},\n  {"name": "x_tenant", "type": "INT64"}', '', 'x_tenant', 'must be STRING'),
    C('sql syntax', SQL, '', 'SELECT FROM WHERE', '', '', 'not SQL'),
    C('sql that is not a query', SQL, '', 'DELETE FROM raw_shop.orders WHERE true', '', '', 'only one SELECT'),
    C('sql of two statements', SQL, '', 'SELECT 1 AS a;\nSELECT 2 AS a', 'SELECT 2', '', 'second statement'),
    C('sql with an unknown parameter', SQL, '@run_date', '@run_dat', '@run_dat', '', 'not a parameter', '@run_date'),
    C('sql that names a project', SQL, 'raw_shop.orders', 'p.raw_shop.orders', 'p.raw', '', 'names a project'),
    C('metadata table', 'metadata/schemas/pipeline_runs.json', '', '[{"name": "a", "type": "STRING"}]', '', '', 'needs a column ingestion_date'),
]
TABLES = [
    C('partition column', PIPELINE, '      write: merge', '      write: merge\n      partition_field: x_rundate', 'partition_field', 'steps[0].destination.partition_field', 'must be ingestion_date or x_run_date', 'x_run_date'),
    C('partition column that is not the slice', PIPELINE, '      write: merge', '      write: merge\n      partition_field: day', 'partition_field', 'steps[0].destination.partition_field', "not 'day'"),
    C('cluster column', PIPELINE, 'cluster_by: [region]', 'cluster_by: [region, curency]', 'cluster_by', 'steps[0].destination.cluster_by[1]', 'not a column', 'currency'),
    C('cluster by a list', PIPELINE, 'cluster_by: [region]', 'cluster_by: [tags]', 'cluster_by', 'steps[0].destination.cluster_by[0]', 'a list of STRING'),
    C('cluster column twice', PIPELINE, 'cluster_by: [region]', 'cluster_by: [region, region]', 'cluster_by', 'steps[0].destination.cluster_by[1]', 'stands twice'),
    C('key column', PIPELINE, 'keys: [order_id]', 'keys: [orderid]', 'keys', 'steps[0].destination.keys[0]', 'not a column', 'order_id'),
    C('merge without keys', PIPELINE, '      keys: [order_id]\n', '', 'write', 'steps[0].destination.write', 'merge needs keys'),
    C('append without keys', PIPELINE, '      write: merge\n      keys: [order_id]\n', '      write: append\n', 'write', 'steps[0].destination.write', 'idempotency key'),
    C('measured column', PIPELINE, 'column: amount,', 'column: amonut,', 'measure', 'steps[0].destination.measure.column', 'not a column', 'amount'),
    C('measured text', PIPELINE, 'column: amount,', 'column: region,', 'measure', 'steps[0].destination.measure.column', 'must be one of'),
    C('mapped column', PIPELINE, '        amount: total.value', '        amout: total.value', 'amout', 'steps[0].source.columns.amout', 'not a column', 'amount'),
    C('path grammar', PIPELINE, 'amount: total.value', 'amount: total..value', 'amount', 'steps[0].source.columns.amount', 'not a path'),
    C('path outside the records', PIPELINE, '$.data[].day', '$.other[].day', 'day:', 'steps[0].source.columns.day', ''),
    C('table filled twice', REPORT, 'table: gold_reporting.daily', 'table: gold_sales.own', 'table: gold_sales', 'steps[0].destination.table', r'filled by .*reporting/pipeline\.yml:14 already', None, f'{OWN}/pipeline.yml'),
    C('no destination', REPORT, GOOD[REPORT].split('    sql_file: daily.sql\n')[1], '', '  - step_id: daily', 'steps[1]', 'exactly one of destination'),
    C('contribution to nothing', PIPELINE, 'silver_cost.all_costs', 'silver_cost.all_cost', 'contributes_to', 'steps[1].contributes_to', 'filled by no step', 'silver_cost.all_costs'),
    C('contribution to a table of its own', PIPELINE, 'silver_cost.all_costs', 'gold_reporting.daily', 'contributes_to', 'steps[1].contributes_to', 'not the table of a union'),
    C('second contribution', PIPELINE, '    contributes_to: silver_cost.all_costs', '    contributes_to: silver_cost.all_costs\n  - step_id: again\n    type: transform\n    sql_file: to_costs.sql\n    contributes_to: silver_cost.all_costs # twice', '# twice', 'steps[2].contributes_to', 'UNION ALL'),
    C('contributed column', SQL, 'amount, currency', 'amount, currency, colour', 'contributes_to', 'steps[1].contributes_to', "gives column 'colour'", None, PIPELINE),
    C('required column left out', SQL, 'day AS charge_day, ', '', 'contributes_to', 'steps[1].contributes_to', "does not give column 'charge_day'", None, PIPELINE),
    C('column of a transform', f'{REPORTING}/daily.sql', 'AS total', 'AS totl', 'schema_file: daily', 'steps[1].destination.schema_file', "gives column 'totl'", 'total', REPORT),
    C('unknown upstream', SQL, 'raw_shop.orders', 'raw_shop.order', 'sql_file', 'steps[1].sql_file', 'which no step fills', 'raw_shop.orders', PIPELINE),
    C("another tenant's table", f'{REPORTING}/daily.sql', '', 'SELECT CURRENT_DATE() AS charge_day FROM gold_sales.own\n', 'sql_file', 'steps[1].sql_file', 'only tenant acme1281', None, REPORT),
    C('circle', f'{REPORTING}/daily.sql', 'silver_cost.all_costs', 'gold_reporting.daily', 'table: gold', 'steps[1].destination.table', 'circle: gold_reporting.daily → gold_reporting.daily', None, REPORT),
    C('unknown provider', 'pipelines/shp/cost/p/pipeline.yml', '', GOOD[PIPELINE].split('schedule')[0].replace('shop_costs', 'p').replace('shop', 'shp') + "steps:\n  - step_id: a\n    type: ingest\n    source: {type: rest_api, path: /a, records_path: '[]'}\n    destination: {table: raw_shp.a, schema_file: a.json}\n", 'provider', 'provider', 'no providers/shp.yml', 'shop', '', {'pipelines/shp/cost/p/a.json': '[{"name": "a", "type": "STRING"}]'}),
]
TEXTS = [
    C('cron', PIPELINE, '0 4 * * *', '0 25 * * *', 'cron', 'schedule.cron', '0 to 23'),
    C('jitter without room', PIPELINE, 'cron: "0 4 * * *"', 'cron: "50 4 * * *"\n  jitter_minutes: 10', 'jitter_minutes', 'schedule.jitter_minutes', 'room in its hour'),
    C("a tenant's own cron", ACME, 'pipelines: all', 'pipelines: all\nschedules:\n  shop_costs: {cron: "0 25 * * *"}', 'shop_costs: {', 'schedules.shop_costs.cron', '0 to 23'),
    C("a tenant's own timezone", ACME, 'pipelines: all', 'pipelines: all\nschedules:\n  shop_costs: {timezone: Europe/Berln}', 'shop_costs: {', 'schedules.shop_costs.timezone', '', 'Europe/Berlin'),
    C("a tenant's schedule of nothing", ACME, 'pipelines: all', 'pipelines: all\nschedules:\n  shop_cost: {}', 'shop_cost: {', 'schedules.shop_cost', 'no pipeline', 'shop_costs'),
    C("a tenant's schedule of what has none", ACME, 'pipelines: all', 'pipelines: all\nschedules:\n  reporting: {}', 'reporting: {', 'schedules.reporting', 'with a schedule'),
    C('limits below nothing', ACME, 'pipelines: all', 'pipelines: all\nlimits: {daily: -1}', 'limits', 'limits.daily', 'at least 0'),
    C('cron fields', PIPELINE, '0 4 * * *', '0 4 * *', 'cron', 'schedule.cron', '4 fields'),
    C('cron that never comes', PIPELINE, '0 4 * * *', '0 4 31 2 *', 'cron', 'schedule.cron', 'never comes'),
    C('time zone', PIPELINE, '  timezone: Europe/Berlin', '  timezone: Europe/Belin', 'timezone', 'schedule.timezone', 'not a time zone', 'Europe/Berlin'),
    C("tenant's time zone", ACME, 'Europe/Berlin', 'Mars/Base', 'timezone', 'timezone', 'not a time zone'),
    C('template variable', PIPELINE, '{{ run_date }}', '{{ run_dat }}', 'since', 'steps[0].source.params.since', 'unknown variable', 'run_date'),
    C('template syntax', PIPELINE, '{{ run_date }}', '{{ run_date', 'since', 'steps[0].source.params.since', 'malformed'),
    C('path of another host', PIPELINE, 'path: /orders', 'path: //evil.example/x', 'path: //', 'steps[0].source.path', 'start with one /'),
    C('path that climbs', PIPELINE, 'path: /orders', 'path: /../admin', 'path: /..', 'steps[0].source.path', 'below the provider'),
    C('plain http', PROVIDER, 'https://', 'http://', 'base_url', 'base_url', 'use https://api.shop.example'),
    C('user in a URL', PROVIDER, 'https://', 'https://me:you@', 'base_url', 'base_url', 'user name or password'),
    C('metadata address', PROVIDER, 'https://api.shop.example', 'https://169.254.169.254', 'base_url', 'base_url', 'metadata address'),
    C('metadata address as a number', PROVIDER, 'https://api.shop.example', 'https://2852039166', 'base_url', 'base_url', 'metadata address'),
    C('no host', PROVIDER, 'https://api.shop.example/v1', 'https:///v1', 'base_url', 'base_url', 'not a URL'),
    C('token URL', PROVIDER, '  type: bearer', '  type: oauth2_client_credentials\n  token_url: http://login.example/t', 'token_url', 'auth.token_url', 'plain text'),
    C('key in a tenant', ACME, 'region: eu', f'region: {KEY}', 'region', 'credentials[0].parameters.region', 'an API key in plain text'),
    C('password in a deployment', LOCAL, 'kind: duckdb\n    settings:', 'kind: duckdb\n    settings:\n      password: hunter2', 'password', 'ports.warehouse.settings.password', 'in plain text'),
    C('header with a token', PROVIDER, 'auth:', 'headers: {Authorization: abc}\nauth:', 'headers', 'headers.Authorization', 'plain text'),
    C('unset variable', LOCAL, '${PLATFORM_HOME:-.platform}', '${PLATFORM_HOM}', 'folder', 'ports.warehouse.settings.folder', 'PLATFORM_HOM is not set', 'PLATFORM_HOME'),
    C('malformed placeholder', LOCAL, '${PLATFORM_HOME:-.platform}', '${PLATFORM HOME}', 'folder', 'ports.warehouse.settings.folder', 'malformed placeholder'),
    C('two starts', LOCAL, '  start_days_ago: 30', '  start_days_ago: 30\n  start_date: 2026-01-01', 'partitions', 'partitions', 'exactly one'),
    C('start in the future', LOCAL, '  start_days_ago: 30', '  start_date: 2027-01-01', 'start_date', 'partitions.start_date', 'no complete day'),
    C('start that is no date', LOCAL, '  start_days_ago: 30', '  start_date: 2026-02-30', 'start_date', 'partitions.start_date', 'must be a date'),
]
QUALITY = [
    C('unknown expectation', DQ, 'to_not_be_null', 'to_not_be_nul', 'to_not', 'suites[0].expectations[0].type', 'unknown expectation', 'expect_column_values_to_not_be_null'),
    C('unknown column', DQ, '        column: amount', '        column: amout', '        column', 'suites[0].expectations[1].column', 'unknown column', 'amount'),
    C('unknown argument', DQ, 'max_value', 'max_vale', 'max_vale', 'suites[0].expectations[1].max_vale', 'unknown argument', 'max_value'),
    C('reversed range', DQ, 'min_value: 0', 'min_value: 1000', 'max_value', 'suites[0].expectations[1].max_value', 'greater than'),
    C('bad regex', DQ, '{type: expect_column_values_to_not_be_null, column: amount, severity: critical}', "{type: expect_column_values_to_match_regex, column: region, regex: '(?=x)'}", 'regex:', 'suites[0].expectations[0].regex', 'look-ahead'),
    C('wrong argument type', DQ, 'min_value: 0', 'min_value: [0]', 'min_value', 'suites[0].expectations[1].min_value', 'valid'),
    C('a value that the column cannot hold', DQ, 'min_value: 0', 'min_value: x', 'min_value', 'suites[0].expectations[1].min_value', 'NUMERIC'),
    C('mostly above one', DQ, 'min_value: 0', 'mostly: 99', 'mostly', 'suites[0].expectations[1].mostly', 'less than or equal to 1'),
    C('row condition on an unknown column', DQ, 'min_value: 0', 'row_condition: "regin = 1"', 'row_condition', 'suites[0].expectations[1].row_condition', 'unknown column', 'region'),
    C('row condition that is a statement', DQ, 'min_value: 0', 'row_condition: "DROP TABLE x"', 'row_condition', 'suites[0].expectations[1].row_condition', ''),
    C('quarantine of a whole table', DQ, '{type: expect_column_values_to_not_be_null, column: amount, severity: critical}', '{type: expect_table_row_count_to_equal, value: 1, on_failure: quarantine}', 'on_failure', 'suites[0].expectations[0].on_failure', 'single rows'),
    C('comparison with no table', DQ, '{type: expect_column_values_to_not_be_null, column: amount, severity: critical}', '{type: expect_table_row_count_to_equal_other_table, other_table_name: gold_reporting.dail}', 'other_table_name', 'suites[0].expectations[0].other_table_name', 'unknown table', 'gold_reporting.daily'),
    C("comparison with one tenant's own table", DQ, '{type: expect_column_values_to_not_be_null, column: amount, severity: critical}', '{type: expect_table_row_count_to_equal_other_table, other_table_name: gold_sales.own}', 'other_table_name', 'suites[0].expectations[0].other_table_name', 'unknown table'),
    C('comparison of a column with none', DQ, '{type: expect_column_values_to_not_be_null, column: amount, severity: critical}', '{type: expect_column_sum_to_equal_other_table, column: amount, other_table: raw_shop.orders, other_column: amout}', 'other_column', 'suites[0].expectations[0].other_column', 'unknown column', 'amount'),
    C('comparison with what is made from it', DQ, '{type: expect_column_values_to_not_be_null, column: amount, severity: critical}', '{type: expect_column_sum_to_equal_other_table, column: amount, other_table: silver_cost.all_costs, other_column: amount}', 'table: raw_shop.orders', 'steps[0].destination.table', 'circle', at=PIPELINE),
    C('wrong severity', DQ, 'severity: critical', 'severity: fatal', 'severity', 'suites[0].expectations[0].severity', 'critical'),
    C('unknown table', DQ, 'raw_shop.orders', 'raw_shop.order', 'table', 'suites[0].table', 'not filled by this pipeline', 'raw_shop.orders'),
    C("another pipeline's table", DQ, 'raw_shop.orders', 'gold_reporting.daily', 'table', 'suites[0].table', 'not filled by this pipeline'),
    C('no expectations', DQ, '', 'suites:\n  - table: raw_shop.orders\n    expectations: []\n', 'expectations', 'suites[0].expectations', 'at least 1'),
]
TENANTS = [
    C('currency', ACME, 'default_currency: EUR', 'default_currency: EUT', 'default_currency', 'default_currency', 'not an ISO 4217', 'EUR'),
    C("budget's currency", ACME, '    currency: EUR', '    currency: XQX', '    currency', 'budgets[0].currency', 'not an ISO 4217'),
    C("budget's provider", ACME, '    currency: EUR\n    provider: shop', '    currency: EUR\n    provider: shp', 'provider: shp', 'budgets[0].provider', 'no provider', 'shop'),
    C("credential's provider", GLOBEX, 'pipelines:', 'credentials:\n  - {id: a, provider: shp, secret: k}\npipelines:', 'shp', 'credentials[0].provider', 'no provider', 'shop'),
    C('credential without a secret', ACME, '    secret: shop_key\n', '', '  - id: main', 'credentials[0].secret', 'name the secret'),
    C('missing parameter', ACME, '      region: eu', '      regin: eu', 'parameters', 'credentials[0].parameters', "needs parameter 'region'", 'regin'),
    C('unknown pipeline', GLOBEX, '  - reporting', '  - reportin', 'reportin', 'pipelines[0]', 'no pipeline', 'reporting'),
    C("another tenant's pipeline", GLOBEX, '  - reporting', '  - own_sales', 'own_sales', 'pipelines[0]', "no pipeline 'own_sales' for this tenant"),
    C('pipeline without a credential', GLOBEX, '  - reporting', '  - shop_costs', 'shop_costs', 'pipelines[0]', 'needs a credential for shop'),
]
MORE = [
    C('placeholder in a tenant', ACME, 'region: eu', 'region: ${REGION}', 'region', 'credentials[0].parameters.region', 'only deployment files'),
    C('placeholder in a provider', PROVIDER, 'https://api.shop.example', 'https://${HOST}', 'base_url', 'base_url', 'only deployment files'),
    C('placeholder in a pipeline', PIPELINE, '{{ run_date }}', '${DAY}', 'since', 'steps[0].source.params.since', 'only deployment files'),
    C('dataset of no layer', REPORT, 'gold_reporting.daily', 'reporting.daily', 'table: reporting', 'steps[1].destination.table', 'dataset must be raw_ or silver_ or gold_'),
    C('dataset shared by all tenants', REPORT, 'gold_reporting.daily', 'organizations.daily', 'table: organizations', 'steps[1].destination.table', 'dataset must be'),
    C('table of the platform', REPORT, 'gold_reporting.daily', 'gold_reporting.x_quarantine', 'table: gold_r', 'steps[1].destination.table', 'keeps for itself'),
    C('dataset of the run history', REPORT, 'gold_reporting.daily', 'metadata.daily', 'table: metadata', 'steps[1].destination.table', 'dataset must be'),
    C('dataset in capitals', REPORT, 'gold_reporting.daily', 'gold_Reporting.daily', 'table: gold_R', 'steps[1].destination.table', 'a name in a-z'),
    C('tenant with a layer in its name', 'tenants/acme_raw.yml', '', 'tenant: acme_raw\ndisplay_name: x\n', 'tenant', 'tenant', 'as a word'),
    C('column twice', f'{REPORTING}/daily.sql', 'SELECT charge_day,', 'SELECT charge_day, charge_day,', 'schema_file: daily', 'steps[1].destination.schema_file', "'charge_day' twice", None, REPORT),
    C('owner', PIPELINE, 'domain: cost', 'domain: cost\nowners: [data@example.com, bob]', 'owners', 'owners[1]', 'neither an e-mail address nor team'),
    C('listed without what it reads', ACME, 'pipelines: all', 'pipelines: [own_sales]', 'pipelines', 'pipelines[0]', "reads raw_shop.orders, which 'shop_costs' fills"),
    C('listed without the credential of what it reads', GLOBEX, '  - reporting', '  - shop_costs', 'shop_costs', 'pipelines[0]', 'needs a credential for shop'),
    C('metadata schema missing', 'metadata/schemas/dq_result.json', '', '[{"name": "ingestion_date", "type": "DATE"}]', '', '', 'is missing; runs write to', 'dq_result', 'metadata/schemas/dq_results.json'),
    C('reserved word', 'pipelines/platform/cost/context/pipeline.yml', '', GOOD[f"{OWN}/pipeline.yml"].replace("own_sales", "context").replace("gold_sales.own", "gold_sales.too").replace("shop", "platform").replace("domain: sales", "domain: cost"), 'pipeline_id', 'pipeline_id', 'reserved word', None, '', {f"pipelines/platform/cost/context/{name}": GOOD[f"{OWN}/{name}"] for name in ("sales.sql", "own_schema.json")}),
]
# fmt: on
CASES = [*YAML, *VALUES, *NAMES, *FILES, *TABLES, *TEXTS, *QUALITY, *TENANTS, *MORE]


WITHOUT = {"metadata schema missing": "metadata/schemas/dq_results.json"}


def problems_of(root: Path) -> tuple[Problem, ...]:
    environment = {"PLATFORM_HOME": "/data"}
    with pytest.raises(ConfigError) as caught:
        load(root, deployment="local", environment=environment, today=date(2026, 11, 21))
    return caught.value.problems


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "_"))
def test_one_mistake_is_one_problem(case: Case, tmp_path: Path) -> None:
    files = case.files()
    root = write_tree(tmp_path, files)
    if case.name in WITHOUT:
        (root / WITHOUT[case.name]).unlink()
    problems = problems_of(root)
    assert len(problems) == 1, "\n".join(map(str, problems))
    found = problems[0]
    assert (found.file, found.line, found.field) == (case.at or case.file, case.line(files), case.field), (
        found
    )
    assert re.search(case.reason, found.reason), found.reason
    assert found.nearest == case.nearest
