"""What every configuration model shares: strict, frozen, nothing unknown."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Spec(BaseModel):
    """A reviewed piece of configuration. Unknown keys are errors; values never change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=False)
