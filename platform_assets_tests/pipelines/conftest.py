"""A bench of its own for every test."""

import pytest

from platform_assets_tests.pipelines.bench import Bench


@pytest.fixture
def bench(tmp_path) -> Bench:
    return Bench(tmp_path)
