"""SaaS plans of a slice to rows of daily costs. Meaning: ``plans`` and ``amortisation``."""

from __future__ import annotations

from collections.abc import Iterator

from platform_assets.engine.costs.amortisation import DailyCost, Terms, daily_costs
from platform_assets.engine.costs.functions import Inputs, Row, Slot
from platform_assets.engine.costs.plans import parse_plan


def daily_rows(inputs: Inputs, slot: Slot) -> Iterator[Row]:
    """``inputs["plans"]``: the plan table of the slice. One row per plan that costs something on the day."""
    terms = Terms(slot.tenant.fiscal_year_start_month, slot.tenant.default_currency)
    plans = [parse_plan(row) for row in inputs["plans"]]
    return (_row(cost) for cost in daily_costs(plans, slot.day, slot.day, terms))


def _row(cost: DailyCost) -> Row:
    plan = cost.plan
    return {
        "cost_date": cost.cost_date,
        "provider": plan.provider,
        "subscription_id": plan.subscription_id,
        "plan_name": plan.plan_name,
        "display_name": plan.display_name,
        "category": plan.category,
        "billing_cycle": str(plan.cycle),
        "cycle_start": cost.period.start,
        "cycle_end": cost.period.end,
        "currency": cost.currency,
        "seats": cost.seats,
        "pricing_model": str(plan.pricing_model),
        "cycle_cost": cost.cycle_cost,
        "daily_cost": cost.daily_cost,
        "list_cost": cost.list_cost,
        "monthly_run_rate": cost.monthly_run_rate,
        "annual_run_rate": cost.annual_run_rate,
        "invoice_id_last": plan.invoice_id_last,
        "contract_id": plan.contract_id,
        "department": plan.department,
        "team": plan.team,
        "project": plan.project,
        "source": "subscription_amortization",
    }
