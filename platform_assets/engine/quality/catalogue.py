"""Which module means which expectation, so that only those are imported which a suite uses.

Sixty models take longer to define than a suite takes to read, and every run is a new process.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from platform_assets.engine.quality.expectation import KINDS, Expectation

_FAMILIES = {
    "column_map": """
        expect_column_value_lengths_to_be_between
        expect_column_value_lengths_to_equal
        expect_column_values_to_be_between
        expect_column_values_to_be_in_set
        expect_column_values_to_be_null
        expect_column_values_to_match_regex
        expect_column_values_to_not_be_in_set
        expect_column_values_to_not_be_null
        expect_column_values_to_not_match_regex
    """,
    "texts": """
        expect_column_values_to_be_json_parseable
        expect_column_values_to_match_like_pattern
        expect_column_values_to_match_like_pattern_list
        expect_column_values_to_match_regex_list
        expect_column_values_to_match_strftime_format
        expect_column_values_to_not_match_like_pattern
        expect_column_values_to_not_match_like_pattern_list
        expect_column_values_to_not_match_regex_list
    """,
    "whole_column": """
        expect_column_value_z_scores_to_be_less_than
        expect_column_values_to_be_decreasing
        expect_column_values_to_be_increasing
        expect_column_values_to_be_unique
        expect_column_values_to_not_be_outliers
    """,
    "column_aggregate": """
        expect_column_distinct_values_to_be_in_set
        expect_column_distinct_values_to_contain_set
        expect_column_distinct_values_to_equal_set
        expect_column_max_to_be_between
        expect_column_mean_to_be_between
        expect_column_median_to_be_between
        expect_column_min_to_be_between
        expect_column_most_common_value_to_be_in_set
        expect_column_proportion_of_non_null_values_to_be_between
        expect_column_proportion_of_unique_values_to_be_between
        expect_column_quantile_values_to_be_between
        expect_column_stdev_to_be_between
        expect_column_sum_to_be_between
        expect_column_unique_value_count_to_be_between
    """,
    "distribution": """
        expect_column_kl_divergence_to_be_less_than
    """,
    "column_pair": """
        expect_column_pair_values_a_to_be_greater_than_b
        expect_column_pair_values_to_be_equal
        expect_column_pair_values_to_be_in_set
    """,
    "multicolumn": """
        expect_compound_columns_to_be_unique
        expect_multicolumn_sum_to_equal
        expect_multicolumn_values_to_be_equal
        expect_select_column_values_to_be_unique_within_record
    """,
    "table": """
        expect_table_row_count_to_be_between
        expect_table_row_count_to_equal
        expect_table_row_count_to_equal_other_table
    """,
    "columns": """
        expect_column_to_exist
        expect_column_type_to_be
        expect_column_values_to_be_in_type_list
        expect_column_values_to_be_of_type
        expect_table_column_count_to_be_between
        expect_table_column_count_to_equal
        expect_table_columns_to_match_ordered_list
        expect_table_columns_to_match_set
    """,
    "contract": """
        expect_table_schema_to_match
    """,
    "history": """
        expect_column_statistic_to_match_history
        expect_table_row_count_to_match_history
        freshness_check
    """,
    "reconcile": """
        expect_column_sum_to_equal_other_table
    """,
    "satisfy": """
        expect_column_values_to_satisfy
        unexpected_rows_expectation
    """,
}
MODULES: Mapping[str, str] = {kind: module for module, kinds in _FAMILIES.items() for kind in kinds.split()}


def kind_named(name: str) -> type[Expectation]:
    """The expectation of that name, its module imported. KeyError for a name that is not in ``MODULES``."""
    if name not in KINDS:
        import_module(f"{__package__}.{MODULES[name]}")
    return KINDS[name]


def load_all() -> Mapping[str, type[Expectation]]:
    """Every expectation there is, by name."""
    for name in MODULES:
        kind_named(name)
    return KINDS
