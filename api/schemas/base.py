"""What all response models share."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

QualityName = Literal["live", "backfilled", "kline", "imported", "partial", "carried"]
Signal = Literal["BUY", "SELL", "HOLD"]


class Answer(BaseModel):
    """Base of every answer."""

    model_config = ConfigDict(extra="allow")

    simulated: bool = Field(description="the trades are made up by the simulated exchange")


class Part(BaseModel):
    """Base of the parts of an answer."""

    model_config = ConfigDict(extra="allow")
