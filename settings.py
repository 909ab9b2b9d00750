"""Every environment knob: frozen, validated, read once.

`Settings.from_env` refuses unknown `PAIRS_*` names and bad values with one line that names the key,
the value and what is allowed. Nothing else in the project reads the environment.
"""

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
)

from model import ConfigError, Market, Stream

PREFIX = "PAIRS_"
MOST_DAYS = 36_500
# A name or address, the latter of version 6 in brackets, and a port: what a Host header holds.
HOST = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([a-zA-Z0-9._-]+))(?::(\d{1,5}))?")


class Venue(BaseModel):
    """Where trades come from: the dialect, the bases of its addresses, and whether it is real."""

    model_config = ConfigDict(frozen=True)

    name: str
    market: Market
    ws_url: str
    rest_url: str
    is_simulated: bool = False


VENUES = {
    "binance-spot": Venue(
        name="binance-spot",
        market=Market.SPOT,
        ws_url="wss://stream.binance.com:9443",
        rest_url="https://api.binance.com",
    ),
    "binance-futures": Venue(
        name="binance-futures",
        market=Market.FUTURES,
        ws_url="wss://fstream.binance.com/market",
        rest_url="https://fapi.binance.com",
    ),
    "binance-us": Venue(
        name="binance-us",
        market=Market.SPOT,
        ws_url="wss://stream.binance.us:9443",
        rest_url="https://api.binance.us",
    ),
}


SIMULATED = "simulated"
SIMULATED_SEED = 7


def storage_key(venue: str) -> str:
    """Return the name a venue's rows are stored under: the simulated exchange's has its seed."""
    return f"{SIMULATED}:{SIMULATED_SEED}" if venue == SIMULATED else venue


def _csv(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _symbols(value: tuple[str, ...]) -> tuple[str, ...]:
    symbols = tuple(dict.fromkeys(name.upper() for name in value))
    bad = [name for name in symbols if not (name.isascii() and name.isalnum() and len(name) <= 20)]
    if bad:
        raise ValueError(f"must be names like BTCUSDT, was {bad[0]!r}")
    if not 2 <= len(symbols) <= 50:
        raise ValueError(f"must be 2 to 50 different symbols, was {len(symbols)}")
    return symbols


def _url(*schemes: str) -> AfterValidator:
    def check(value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in schemes or not parts.hostname or parts.port == 0:
            raise ValueError(
                f"must be a URL starting with {' or '.join(s + '://' for s in schemes)}"
            )
        return value.rstrip("/")

    return AfterValidator(check)


def _database(value: str) -> str:
    if not value.startswith(("sqlite:///", "postgresql://", "postgresql+psycopg://")):
        raise ValueError("must be a URL starting with sqlite:/// or postgresql+psycopg://")
    return value.replace("postgresql://", "postgresql+psycopg://", 1)


def _hosts(value: tuple[str, ...]) -> tuple[str, ...]:
    bad = [name for name in value if HOST.fullmatch(name) is None]
    if bad:
        raise ValueError(f"must be names like pairs.example.org or name:port, was {bad[0]!r}")
    return value


Csv = BeforeValidator(_csv)
Days = Annotated[float, Field(ge=0, le=MOST_DAYS, allow_inf_nan=False)]


class Settings(BaseModel):
    """What the environment says. Field `ws_url` is the variable `PAIRS_WS_URL`, and so on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    venue: Literal["auto", "binance-spot", "binance-futures", "binance-us", "simulated"] = Field(
        "auto", description="exchange to stream from; auto = spot, else simulated"
    )
    symbols: Annotated[tuple[str, ...], Csv, AfterValidator(_symbols)] = Field(
        ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT"), description="2 to 50 symbols to ingest"
    )
    stream: Stream = Field(Stream.AGG_TRADE, description="aggTrade or trade")
    ws_url: Annotated[str | None, _url("ws", "wss")] = Field(
        None, description="base of the WebSocket address, the venue's if unset"
    )
    rest_url: Annotated[str | None, _url("http", "https")] = Field(
        None, description="base of the REST address, the venue's if unset"
    )
    database_url: Annotated[str, AfterValidator(_database)] = Field(
        "sqlite:///data/pairs.db", description="SQLAlchemy URL of SQLite or PostgreSQL"
    )
    history_bars: int = Field(
        5000, ge=100, le=100_000, description="bars per symbol and timeframe fetched as history"
    )
    retain_trades_days: Days = Field(3, description="days trades are kept, 0 = all")
    retain_1s_days: Days = Field(30, description="days 1s bars are kept, 0 = all")
    api_token: SecretStr | None = Field(None, description="secret the API asks for when set")
    allowed_hosts: Annotated[tuple[str, ...], Csv, AfterValidator(_hosts)] = Field(
        (), description="further Host names that are answered"
    )
    notify_urls: Annotated[tuple[SecretStr, ...], Csv] = Field(
        (), description="notification targets, comma separated"
    )
    dask_address: Annotated[str | None, _url("tcp", "tls")] = Field(
        None, description="Dask scheduler that sweeps and scans are sent to"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="least severe log line shown"
    )

    @classmethod
    def from_env(cls, environ: Mapping[str, str], *, env_file: Path | None = None) -> "Settings":
        """Read `PAIRS_*` from `environ`, which wins, and from `env_file` if it exists.

        Raises:
            ConfigError: an unknown name or a bad value.
        """
        found: dict[str, Any] = {}
        if env_file is not None and env_file.is_file():
            try:
                found |= {k: v for k, v in dotenv_values(env_file).items() if v is not None}
            except (UnicodeDecodeError, OSError) as error:
                raise ConfigError(f"{env_file} must be text in UTF-8: {error}") from None
        found |= environ
        ours = {k: v for k, v in found.items() if k.upper().startswith(PREFIX)}
        for key in ours:
            _refuse_unknown(key, cls)
        values = {k.upper().removeprefix(PREFIX).lower(): v for k, v in ours.items() if v != ""}
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            name = f"{PREFIX}{str(first['loc'][0]).upper()}"
            what = first["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
            # A token, a notification target and an address with a password are not repeated.
            is_secret = "TOKEN" in name or "NOTIFY" in name or "@" in ours.get(name, "")
            shown = "" if is_secret else f" (was {ours.get(name)!r})"
            raise ConfigError(f"{name}: {what}{shown}", field=name) from None

    def resolve_venue(self, name: str | None = None) -> Venue:
        """Return the venue called `name` (default: the one set) with the address overrides.

        Raises:
            ConfigError: "simulated", whose addresses are known once it runs.
        """
        wanted = name or ("binance-spot" if self.venue == "auto" else self.venue)
        if wanted not in VENUES:
            raise ConfigError(f"venue {wanted} has no fixed address", field="PAIRS_VENUE")
        base = VENUES[wanted]
        return base.model_copy(
            update={
                "ws_url": self.ws_url or base.ws_url,
                "rest_url": self.rest_url or base.rest_url,
            }
        )


def _refuse_unknown(key: str, model: type[BaseModel]) -> None:
    known = [f"{PREFIX}{name.upper()}" for name in model.model_fields]
    if key in known:
        return
    near = difflib.get_close_matches(key.upper(), known, n=1)
    hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known)}"
    raise ConfigError(f"{key} is not a setting{hint}", field=key)
