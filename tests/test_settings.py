import os

import pytest
from pydantic import ValidationError

from model import ConfigError, Market, Stream
from settings import PREFIX, VENUES, Settings


def read(**environ):
    return Settings.from_env({f"{PREFIX}{name.upper()}": text for name, text in environ.items()})


def refuse(**environ):
    with pytest.raises(ConfigError) as caught:
        read(**environ)
    return caught.value


def test_from_env_nothing_set_gives_the_documented_defaults():
    settings = Settings.from_env({})
    assert settings.venue == "auto"
    assert settings.symbols == ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT")
    assert settings.stream is Stream.AGG_TRADE
    assert settings.database_url == "sqlite:///data/pairs.db"
    assert settings.history_bars == 5000
    assert (settings.retain_trades_days, settings.retain_1s_days) == (3, 30)
    assert settings.ws_url is None
    assert settings.rest_url is None
    assert settings.api_token is None
    assert settings.dask_address is None
    assert settings.allowed_hosts == settings.notify_urls == ()
    assert settings.log_level == "INFO"


def test_from_env_ignores_everything_that_is_not_ours():
    assert Settings.from_env({"PATH": "/bin", "STREAMLIT_SERVER_PORT": "1"}) == Settings()


def test_from_env_empty_value_is_unset():
    assert read(venue="", symbols="", api_token="") == Settings()


def test_from_env_symbols_are_trimmed_upper_cased_and_unique():
    assert read(symbols=" btcusdt, ETHUSDT ,btcusdt,").symbols == ("BTCUSDT", "ETHUSDT")


def test_from_env_strips_the_slash_a_path_is_appended_to():
    assert read(ws_url="ws://127.0.0.1:9001/").ws_url == "ws://127.0.0.1:9001"


def test_from_env_plain_postgresql_url_gets_the_driver_we_ship():
    assert read(database_url="postgresql://u@h/d").database_url == "postgresql+psycopg://u@h/d"


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("symbols", "BTCUSDT", "must be 2 to 50 different symbols, was 1"),
        ("symbols", "BTCUSDT,BTCUSDT", "must be 2 to 50 different symbols, was 1"),
        ("symbols", ",".join(f"C{i}USDT" for i in range(51)), "was 51"),
        ("symbols", "BTC/USDT,ETHUSDT", "'BTC/USDT'"),
        ("symbols", "BTCÜ,ETHUSDT", "must be names like BTCUSDT"),
        ("venue", "kraken", "'binance-spot'"),
        ("retain_trades_days", "inf", "must be"),
        ("retain_trades_days", "1e300", "must be less than or equal to 36500"),
        ("retain_1s_days", "-1", "must be greater than or equal to 0"),
        ("dask_address", "tcp://host:99999", "ort"),
        ("allowed_hosts", "pairs.example.org,*", "was '*'"),
        ("allowed_hosts", "https://pairs.example.org", "must be names like pairs.example.org"),
        ("stream", "depth", "'aggTrade'"),
        ("ws_url", "http://host", "must be a URL starting with ws:// or wss://"),
        ("ws_url", "ws://", "must be a URL"),
        ("rest_url", "wss://host", "must be a URL starting with http:// or https://"),
        ("rest_url", "ftp//", "must be a URL"),
        ("database_url", "mysql://host/db", "sqlite:/// or postgresql+psycopg://"),
        ("database_url", "data/pairs.db", "sqlite:///"),
        ("history_bars", "99", "greater than or equal to 100"),
        ("history_bars", "lots", "integer"),
        ("retain_trades_days", "-1", "greater than or equal to 0"),
        ("log_level", "LOUD", "'DEBUG'"),
    ],
)
def test_from_env_bad_value_names_key_value_and_what_is_allowed(name, value, text):
    error = refuse(**{name: value})
    assert error.field == f"PAIRS_{name.upper()}"
    assert error.field in str(error)
    assert text in str(error)
    assert repr(value) in str(error)
    assert "\n" not in str(error)


def test_env_file_that_is_no_text_is_refused_in_a_sentence(tmp_path):
    (tmp_path / ".env").write_bytes(b"\xff\xfe\x00garbage")
    with pytest.raises(ConfigError, match="must be text in UTF-8"):
        Settings.from_env({}, env_file=tmp_path / ".env")


def test_from_env_unknown_name_suggests_the_nearest():
    assert "did you mean PAIRS_SYMBOLS?" in str(refuse(symbol="BTCUSDT,ETHUSDT"))
    assert "known are PAIRS_VENUE" in str(refuse(zzzzzzzzz="1"))


def test_from_env_never_shows_a_secret():
    secret = "hunter2hunter2"
    settings = read(api_token=secret, notify_urls=f"json://{secret}")
    assert secret not in repr(settings)
    assert secret not in str(settings.model_dump())
    assert settings.api_token is not None
    assert settings.api_token.get_secret_value() == secret


def test_from_env_file_is_read_and_the_environment_wins(tmp_path):
    file = tmp_path / ".env"
    file.write_text('# mine\nPAIRS_VENUE=simulated\nPAIRS_LOG_LEVEL="DEBUG"\nOTHER=1\n')
    settings = Settings.from_env({"PAIRS_LOG_LEVEL": "ERROR"}, env_file=file)
    assert (settings.venue, settings.log_level) == ("simulated", "ERROR")


def test_from_env_unknown_name_in_the_file_is_refused(tmp_path):
    file = tmp_path / ".env"
    file.write_text("PAIRS_VENEU=simulated\n")
    with pytest.raises(ConfigError, match="did you mean PAIRS_VENUE"):
        Settings.from_env({}, env_file=file)


def test_from_env_missing_file_is_fine(tmp_path):
    assert Settings.from_env({}, env_file=tmp_path / ".env") == Settings()


def test_from_env_does_not_look_at_the_process(monkeypatch):
    """The environment is an argument: a test or a second instance passes its own."""
    monkeypatch.setitem(os.environ, "PAIRS_VENUE", "simulated")
    assert Settings.from_env({}).venue == "auto"


def test_settings_cannot_be_changed():
    with pytest.raises(ValidationError):
        Settings().venue = "simulated"


def test_every_setting_says_what_it_is_for():
    assert all(field.description for field in Settings.model_fields.values())


@pytest.mark.parametrize("name", VENUES)
def test_resolve_venue_names_the_dialect(name):
    venue = Settings(venue=name).resolve_venue()
    assert venue == VENUES[name]
    assert venue.market is (Market.FUTURES if name == "binance-futures" else Market.SPOT)


def test_resolve_venue_auto_is_spot():
    assert Settings().resolve_venue().name == "binance-spot"


def test_resolve_venue_takes_the_addresses_set():
    venue = read(ws_url="ws://127.0.0.1:1", rest_url="http://127.0.0.1:2").resolve_venue()
    assert (venue.ws_url, venue.rest_url) == ("ws://127.0.0.1:1", "http://127.0.0.1:2")
    assert venue.name == "binance-spot"


def test_resolve_venue_simulated_has_no_address_yet():
    with pytest.raises(ConfigError):
        Settings(venue="simulated").resolve_venue()
