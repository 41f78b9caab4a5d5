"""The pack ``focus_1_2``: rules of the FinOps Open Cost and Usage Specification 1.2 for a cost table.

Rules apply to the columns that the table has: a missing mandatory column is one failing rule of its own, so that the
pack says what is missing instead of being unusable. Source: FOCUS_Spec v1.2, columns and their normative rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from platform_assets.engine.schema.model import FieldType, TableSchema

Entry = dict[str, Any]

MANDATORY = (
    *("BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd"),
    *("BillingPeriodStart", "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargePeriodEnd"),
    *(
        "ChargePeriodStart",
        "ContractedCost",
        "EffectiveCost",
        "InvoiceIssuerName",
        "ListCost",
        "PricingQuantity",
    ),
    *("PricingUnit", "ProviderName", "PublisherName", "ServiceCategory", "ServiceName"),
)
NOT_NULL = (
    *("BilledCost", "BillingAccountId", "BillingAccountType", "BillingCurrency", "BillingPeriodEnd"),
    *("BillingPeriodStart", "ChargeCategory", "ChargeFrequency", "ChargePeriodEnd", "ChargePeriodStart"),
    *("ContractedCost", "EffectiveCost", "InvoiceIssuerName", "ListCost", "ProviderName", "PublisherName"),
    *("ServiceCategory", "ServiceName", "ServiceSubcategory"),
)
ALLOWED: Mapping[str, tuple[str, ...]] = {
    "CapacityReservationStatus": ("Used", "Unused"),
    "ChargeCategory": ("Usage", "Purchase", "Tax", "Credit", "Adjustment"),
    "ChargeClass": ("Correction",),
    "ChargeFrequency": ("One-Time", "Recurring", "Usage-Based"),
    "CommitmentDiscountCategory": ("Spend", "Usage"),
    "CommitmentDiscountStatus": ("Used", "Unused"),
    "PricingCategory": ("Standard", "Dynamic", "Committed", "Other"),
    "ServiceCategory": (
        *("AI and Machine Learning", "Analytics", "Business Applications", "Compute", "Databases"),
        *("Developer Tools", "Multicloud", "Identity", "Integration", "Internet of Things"),
        *("Management and Governance", "Media", "Migration", "Mobile", "Networking", "Security", "Storage"),
        *("Web", "Other"),
    ),
}
DECIMALS = (
    *(
        "BilledCost",
        "CommitmentDiscountQuantity",
        "ConsumedQuantity",
        "ContractedCost",
        "ContractedUnitPrice",
    ),
    *("EffectiveCost", "ListCost", "ListUnitPrice", "PricingCurrencyContractedUnitPrice"),
    *("PricingCurrencyEffectiveCost", "PricingCurrencyListUnitPrice", "PricingQuantity"),
)
MOMENTS = ("BillingPeriodEnd", "BillingPeriodStart", "ChargePeriodEnd", "ChargePeriodStart")
NULL_WITH_TAX = (
    *(
        "CapacityReservationId",
        "CommitmentDiscountId",
        "ConsumedQuantity",
        "ConsumedUnit",
        "ContractedUnitPrice",
    ),
    *("ListUnitPrice", "PricingCategory", "PricingQuantity", "PricingUnit", "SkuId", "SkuPriceId"),
)
# The currencies of ISO 4217 that are in use; funds, metals and test codes are no billing currencies.
_CURRENCIES = """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP
    CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF
    IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD
    MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB
    RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD
    UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
"""
CURRENCIES = tuple(_CURRENCIES.split())
_STRINGS = frozenset(
    (
        *("AvailabilityZone", "BillingAccountId", "BillingAccountName", "BillingAccountType"),
        *("CapacityReservationId", "ChargeDescription", "CommitmentDiscountId", "CommitmentDiscountName"),
        *(
            "CommitmentDiscountType",
            "CommitmentDiscountUnit",
            "ConsumedUnit",
            "InvoiceId",
            "InvoiceIssuerName",
        ),
        *(
            "PricingUnit",
            "ProviderName",
            "PublisherName",
            "RegionId",
            "RegionName",
            "ResourceId",
            "ResourceName",
        ),
        *("ResourceType", "ServiceName", "ServiceSubcategory", "SkuId", "SkuMeter", "SkuPriceId"),
        *("SubAccountId", "SubAccountName", "SubAccountType"),
    )
)


def focus_1_2(schema: TableSchema) -> list[Entry]:
    """The pack's rules for a table, each with its ``name``; severities are the pack's own."""
    rules = [
        *_mandatory(schema),
        *_not_null(),
        *_types(),
        *_closed_lists(),
        *_texts(schema),
        *_periods(),
        *_between_columns(),
    ]
    return [rule for rule in rules if _applies(rule, schema)]


def _rule(name: str, kind: str, severity: str = "critical", **arguments: Any) -> Entry:
    return {"name": f"focus_1_2__{name}", "type": kind, "severity": severity, **arguments}


def _applies(rule: Entry, schema: TableSchema) -> bool:
    if rule["type"] == "expect_column_to_exist":
        return True
    named = [rule.get(key) for key in ("column", "column_A", "column_B")] + list(rule.pop("needs", ()))
    return all(schema.get(name) is not None for name in named if name)


def _mandatory(schema: TableSchema) -> Iterator[Entry]:
    for column in MANDATORY:
        if schema.get(column) is None:
            yield _rule(f"{column}_exists", "expect_column_to_exist", column=column)


def _not_null() -> Iterator[Entry]:
    for column in NOT_NULL:
        yield _rule(f"{column}_not_null", "expect_column_values_to_not_be_null", column=column)


def _types() -> Iterator[Entry]:
    for column in DECIMALS:
        types = ["NUMERIC", "BIGNUMERIC"]
        yield _rule(
            f"{column}_decimal", "expect_column_values_to_be_in_type_list", column=column, type_list=types
        )
    for column in MOMENTS:
        yield _rule(f"{column}_utc", "expect_column_values_to_be_of_type", column=column, type_="TIMESTAMP")


def _closed_lists() -> Iterator[Entry]:
    for column, values in ALLOWED.items():
        yield _rule(
            f"{column}_allowed", "expect_column_values_to_be_in_set", column=column, value_set=list(values)
        )
    for column in ("BillingCurrency", "PricingCurrency"):
        yield _rule(
            f"{column}_iso_4217",
            "expect_column_values_to_be_in_set",
            column=column,
            value_set=list(CURRENCIES),
        )


def _texts(schema: TableSchema) -> Iterator[Entry]:
    """A text that says NULL, or nothing, is no null."""
    for field in schema.fields:
        if field.type is FieldType.STRING and field.name in _STRINGS:
            yield _rule(
                f"{field.name}_no_null_text",
                "expect_column_values_to_not_match_regex",
                column=field.name,
                regex=r"^(?i:\s*|null|none)$",
            )


def _periods() -> Iterator[Entry]:
    """Ends are exclusive, so an end is always after its start, and a charge lies inside its billing period."""
    greater = "expect_column_pair_values_a_to_be_greater_than_b"
    for period in ("BillingPeriod", "ChargePeriod"):
        yield _rule(f"{period}_order", greater, column_A=f"{period}End", column_B=f"{period}Start")


def _between_columns() -> Iterator[Entry]:
    null, in_set = "expect_column_values_to_be_null", "expect_column_values_to_be_in_set"
    yield _rule(
        "Purchase_frequency",
        in_set,
        column="ChargeFrequency",
        value_set=["One-Time", "Recurring"],
        row_condition="ChargeCategory = 'Purchase'",
        needs=("ChargeCategory",),
    )
    for column in ("ConsumedQuantity", "ConsumedUnit"):
        yield _rule(
            f"{column}_usage_only",
            null,
            column=column,
            row_condition="ChargeCategory <> 'Usage'",
            needs=("ChargeCategory",),
        )
    for column in NULL_WITH_TAX:
        yield _rule(
            f"{column}_null_with_tax",
            null,
            "warning",
            column=column,
            row_condition="ChargeCategory = 'Tax'",
            needs=("ChargeCategory",),
        )
    yield from _quantities_and_units()
    yield from _prices()


def _quantities_and_units() -> Iterator[Entry]:
    for quantity, unit in (
        ("PricingQuantity", "PricingUnit"),
        ("ConsumedQuantity", "ConsumedUnit"),
        ("CommitmentDiscountQuantity", "CommitmentDiscountUnit"),
    ):
        yield _rule(
            f"{unit}_with_quantity",
            "expect_column_values_to_not_be_null",
            column=unit,
            row_condition=f"{quantity} IS NOT NULL",
            needs=(quantity,),
        )


def _prices() -> Iterator[Entry]:
    """Cost = unit price × quantity, except in corrections; to the nearest 10^-9, as prices are rounded."""
    for cost, price in (("ContractedCost", "ContractedUnitPrice"), ("ListCost", "ListUnitPrice")):
        yield _rule(
            f"{cost}_is_price_times_quantity",
            "expect_column_values_to_satisfy",
            "warning",
            column=cost,
            condition=f"ABS({cost} - {price} * PricingQuantity) <= 0.000000001",
            row_condition=f"{price} IS NOT NULL AND PricingQuantity IS NOT NULL AND ChargeClass IS NULL",
            needs=(price, "PricingQuantity", "ChargeClass"),
        )
