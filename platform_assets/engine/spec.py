"""What every configuration model shares: strict, frozen, nothing unknown."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Spec(BaseModel):
    """A reviewed piece of configuration. Unknown keys are errors; values never change after reading."""

    # defer_build: a process builds the validators of those models only that it reads.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)
