"""Response models: what `/api/openapi.json` promises.

Answers are not run through these models on the way out (they are made of arrays); tests hold the
two together. More fields may be added at any time, so models allow them.
"""

from api.schemas.market import BarsAnswer, HealthAnswer, SymbolsAnswer
from api.schemas.pair import LatestAnswer, PairNumbers, SeriesAnswer, StatsAnswer
from api.schemas.rules import (
    AlertAnswer,
    AlertsAnswer,
    ChannelAnswer,
    ChannelDone,
    ChannelsAnswer,
    DecisionsAnswer,
    DeliveriesAnswer,
    DoneAnswer,
    EventsAnswer,
    RuleAnswer,
)
from api.schemas.study import BacktestAnswer, CombinedAnswer, ScanAnswer

__all__ = [
    "AlertAnswer",
    "AlertsAnswer",
    "BacktestAnswer",
    "BarsAnswer",
    "ChannelAnswer",
    "ChannelDone",
    "ChannelsAnswer",
    "CombinedAnswer",
    "DecisionsAnswer",
    "DeliveriesAnswer",
    "DoneAnswer",
    "EventsAnswer",
    "HealthAnswer",
    "LatestAnswer",
    "PairNumbers",
    "RuleAnswer",
    "ScanAnswer",
    "SeriesAnswer",
    "StatsAnswer",
    "SymbolsAnswer",
]
