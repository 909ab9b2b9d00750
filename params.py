"""Strategy parameters: one validated model for the sidebar, the URL, the API and the command line.

Defaults live here and nowhere else. `Params.parse` takes whatever a caller has (strings from a URL,
numbers from JSON) and either returns a valid rule or raises ConfigError naming one field.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Protocol, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from model import ConfigError, Market, Timeframe

GateName = Literal["warm", "fresh", "correlated", "stationary", "regime", "hedged", "worth_it"]
GATES: tuple[GateName, ...] = (
    "warm",
    "fresh",
    "correlated",
    "stationary",
    "regime",
    "hedged",
    "worth_it",
)
DEFAULT_FEE_BPS = {Market.SPOT: 10.0, Market.FUTURES: 4.0}
MAX_ROWS = 100_000
# Beyond any use, and far from where a product of two numbers ends in zero or infinity.
MAX_SIZE = 1e6


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return tuple(value) if isinstance(value, list) else value


def _once(names: tuple[GateName, ...]) -> tuple[GateName, ...]:
    return tuple(dict.fromkeys(names))


def _blank_is_none(value: object) -> object:
    return None if isinstance(value, str) and value.strip() in ("", "null", "None") else value


Optional = BeforeValidator(_blank_is_none)
Symbol = Annotated[str, Field(pattern=r"^[A-Z0-9]{2,20}$")]
OptionalInt = Annotated[int | None, Optional]
OptionalFloat = Annotated[float | None, Optional]


class Params(BaseModel):
    """One rule for one pair. Names, defaults and limits are the contract's; units end the names."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    y: Symbol = "BTCUSDT"
    x: Symbol = "ETHUSDT"
    timeframe: Timeframe = Timeframe.M1
    price_scale: Literal["log", "raw"] = "log"
    hedge_method: Literal["ols", "static", "kalman", "tls", "fixed"] = "ols"
    window: int = Field(50, ge=3, le=MAX_ROWS)
    hedge_window: OptionalInt = Field(None, ge=3, le=MAX_ROWS)
    fixed_beta: OptionalFloat = Field(None, ge=-MAX_SIZE, le=MAX_SIZE)
    calibration_start: OptionalInt = Field(None, ge=0)
    calibration_end: OptionalInt = Field(None, ge=0)
    delta: OptionalFloat = Field(None, gt=0, lt=1)
    obs_var: OptionalFloat = Field(None, gt=0, le=1e15)
    z_method: Literal["rolling", "innovation"] = "rolling"
    entry: float = Field(2.0, gt=0, le=MAX_SIZE)
    exit: float = Field(0.5, ge=0, le=MAX_SIZE)
    stop: float = Field(4.0, ge=0, le=MAX_SIZE)
    entry_mode: Literal["touch", "reentry"] = "touch"
    max_hold: OptionalInt = Field(None, ge=1, le=MAX_ROWS)
    cooldown: int = Field(0, ge=0, le=MAX_ROWS)
    min_correlation: float = Field(0.7, ge=-1, le=1)
    correlation_of: Literal["returns", "prices"] = "returns"
    test_window: int = Field(300, ge=30, le=10_000)
    test_every: int = Field(10, ge=1, le=10_000)
    stationarity_test: Literal["auto", "adf", "cointegration"] = "auto"
    max_pvalue: float = Field(0.05, gt=0, lt=1)
    min_edge_ratio: float = Field(1.0, ge=0, le=MAX_SIZE)
    gates: Annotated[tuple[GateName, ...], BeforeValidator(_split), AfterValidator(_once)] = GATES
    max_carry: OptionalInt = Field(None, ge=0, le=1000)
    capital: float = Field(10_000.0, ge=1e-6, le=1e15)
    leverage: float = Field(1.0, ge=1e-6, le=125)
    fee_bps: OptionalFloat = Field(None, ge=0, le=1000)
    slippage_bps: float = Field(1.0, ge=0, le=1000)
    funding_bps_8h: float = Field(0.0, ge=-1000, le=1000)
    fill: Literal["open", "close"] = "open"

    @classmethod
    def parse(cls, values: Mapping[str, Any], *, base: "Params | None" = None) -> "Params":
        """Return `base` (default: the defaults) with `values` put over it, validated as a whole.

        Raises:
            ConfigError: naming the field, the value and what is allowed.
        """
        merged = {**(base.model_dump() if base else {}), **values}
        try:
            return cls.model_validate(merged)
        except ValidationError as error:
            raise _config_error(error, merged) from None

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_truth_values(cls, value: object, info: ValidationInfo) -> object:
        # Python takes False for 0; no parameter of a rule is a yes or no.
        if isinstance(value, bool):
            name = str(info.field_name)
            raise _Refused(name, f"must not be true or false, was {str(value).lower()}")
        return value

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.y == self.x:
            raise _Refused("x", f"must differ from y, was {self.x}")
        if self.exit >= self.entry:
            raise _Refused("exit", f"must be below entry ({self.entry:g}), was {self.exit:g}")
        if self.stop and self.stop <= self.entry:
            raise _Refused(
                "stop", f"must be above entry ({self.entry:g}) or 0 for none, was {self.stop:g}"
            )
        if self.z_method == "rolling":
            self._check_reachable()
        elif self.hedge_method != "kalman":
            raise _Refused("z_method", "innovation needs hedge_method kalman")
        if self.hedge_method == "fixed" and self.fixed_beta is None:
            raise _Refused("fixed_beta", "must be given with hedge_method fixed")
        if self.hedge_method == "tls" and self.price_scale == "raw":
            raise _Refused("price_scale", "must be log with hedge_method tls, was raw")
        if (self.delta is None) != (self.obs_var is None):
            raise _Refused("obs_var", "delta and obs_var must be given together, or neither")
        self._check_calibration()
        return self

    def _check_reachable(self) -> None:
        # |z| of the newest of w values cannot exceed (w − 1)/√w, so a higher level never fires.
        highest = (self.window - 1) / math.sqrt(self.window)
        for name in ("entry", "stop"):
            if getattr(self, name) >= highest:
                raise _Refused(
                    name,
                    f"must be below {highest:.3g}, the largest |z| a window of {self.window} "
                    f"rows can show, was {getattr(self, name):g}",
                )

    def _check_calibration(self) -> None:
        start, end = self.calibration_start, self.calibration_end
        if (start is None) != (end is None):
            raise _Refused("calibration_end", "calibration needs both a start and an end")
        if start is not None and end is not None and end <= start:
            raise _Refused("calibration_end", f"must be after calibration_start, was {end}")

    @property
    def hedge_rows(self) -> int:
        """Rows of the rolling hedge fit."""
        return self.hedge_window or self.window

    @property
    def carry_rows(self) -> int:
        """Rows a leg without trades is carried for."""
        if self.max_carry is not None:
            return self.max_carry
        return 5 if self.timeframe is Timeframe.S1 else 2

    @property
    def warmup_rows(self) -> int:
        """Rows until the first z-score."""
        rolling_hedge = self.hedge_method in ("ols", "tls")
        if self.z_method == "innovation":
            return 1
        return self.hedge_rows + self.window - 1 if rolling_hedge else self.window

    def fee(self, market: Market) -> float:
        """Fee in bps of a fill's notional: the one set, else the market's usual taker fee."""
        return DEFAULT_FEE_BPS[market] if self.fee_bps is None else self.fee_bps

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values under the contract's names."""
        return self.model_dump(mode="json")


class Legs(Protocol):
    """A rule about two symbols."""

    @property
    def y(self) -> str: ...
    @property
    def x(self) -> str: ...


def require_legs(rule: Legs, symbols: Sequence[str]) -> None:
    """Refuse a rule with a leg that is not among the symbols ingested.

    Raises:
        ConfigError: naming y or x, and what is known.
    """
    for name, symbol in (("y", rule.y), ("x", rule.x)):
        if symbol not in symbols:
            known = ", ".join(symbols)
            raise ConfigError(f"{name} must be one of {known}, was {symbol}", field=name)


def first_pair(symbols: Sequence[str]) -> tuple[str, str]:
    """Return the default pair where it is ingested, else the first two symbols."""
    usual = Params()
    if usual.y in symbols and usual.x in symbols:
        return usual.y, usual.x
    return symbols[0], symbols[1]


class _Refused(ValueError):
    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def _config_error(error: ValidationError, values: Mapping[str, Any]) -> ConfigError:
    first = error.errors()[0]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, _Refused):
        return ConfigError(f"{cause.field} {cause}", field=cause.field)
    name = str(first["loc"][0]) if first["loc"] else ""
    if first["type"] == "extra_forbidden":
        return ConfigError(f"{name} is not a parameter", field=name)
    what = (
        first["msg"]
        .replace("Input should be", "must be")
        .replace("String should match pattern '^[A-Z0-9]{2,20}$'", "must be a symbol like BTCUSDT")
    )
    return ConfigError(f"{name} {what[0].lower()}{what[1:]}, was {values.get(name)!r}", field=name)
