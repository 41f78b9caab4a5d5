"""The schemas that editors get are those of the models, and the repository's own are up to date."""

import json
from pathlib import Path

from platform_assets.config import json_schema

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def test_the_repositorys_schemas_are_up_to_date() -> None:
    assert json_schema.drift(CONFIGS) == []


def test_every_yaml_file_points_to_its_schema() -> None:
    kinds = {"deployments": "deployment", "providers": "provider", "tenants": "tenant"}
    files = [*CONFIGS.glob("*/*.yml"), *CONFIGS.glob("pipelines/*/*/*/*.yml")]
    for file in files:
        kind = kinds.get(file.parent.name, file.stem)
        if kind in json_schema.MODELS:
            first = file.read_text().splitlines()[0]
            target = first.removeprefix("# yaml-language-server: $schema=")
            assert (file.parent / target).resolve() == CONFIGS / ".schema" / f"{kind}.json", file


def test_writing_twice_changes_nothing(tmp_path: Path) -> None:
    assert json_schema.write(tmp_path) == sorted(f"{name}.json" for name in json_schema.MODELS)
    assert json_schema.write(tmp_path) == []
    assert json_schema.drift(tmp_path) == []


def test_drift_names_every_file(tmp_path: Path) -> None:
    json_schema.write(tmp_path)
    folder = tmp_path / ".schema"
    (folder / "tenant.json").write_text("{}")
    (folder / "dq.json").unlink()
    (folder / "old.json").write_text("{}")
    told = [(p.file, p.reason.partition(";")[0]) for p in json_schema.drift(tmp_path)]
    assert told == [
        (".schema/dq.json", "is missing"),
        (".schema/old.json", "belongs to no model"),
        (".schema/tenant.json", "is not what the models say"),
    ]
    json_schema.write(tmp_path)
    assert json_schema.drift(tmp_path) == []


def test_unknown_keys_are_refused_by_the_schemas_too(tmp_path: Path) -> None:
    json_schema.write(tmp_path)
    for file in (tmp_path / ".schema").glob("*.json"):
        assert json.loads(file.read_text())["additionalProperties"] is False


def test_editors_know_every_expectation() -> None:
    schema = json.loads(json_schema.generate()["dq.json"])
    items = schema["$defs"]["SuiteSpec"]["properties"]["expectations"]["items"]
    assert "expect_column_values_to_not_be_null" in items["properties"]["type"]["enum"]
