import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from model import ConfigError, Market, Timeframe
from params import DEFAULT_FEE_BPS, GATES, Params

# The contract's defaults, typed here a second time on purpose: changing one is a breaking change.
CONTRACT = {
    "y": "BTCUSDT",
    "x": "ETHUSDT",
    "timeframe": "1m",
    "price_scale": "log",
    "hedge_method": "ols",
    "window": 50,
    "hedge_window": None,
    "fixed_beta": None,
    "calibration_start": None,
    "calibration_end": None,
    "delta": None,
    "obs_var": None,
    "z_method": "rolling",
    "entry": 2.0,
    "exit": 0.5,
    "stop": 4.0,
    "entry_mode": "touch",
    "max_hold": None,
    "cooldown": 0,
    "min_correlation": 0.7,
    "correlation_of": "returns",
    "test_window": 300,
    "test_every": 10,
    "stationarity_test": "auto",
    "max_pvalue": 0.05,
    "min_edge_ratio": 1.0,
    "gates": ["warm", "fresh", "correlated", "stationary", "regime", "hedged", "worth_it"],
    "max_carry": None,
    "capital": 10_000.0,
    "leverage": 1.0,
    "fee_bps": None,
    "slippage_bps": 1.0,
    "funding_bps_8h": 0.0,
    "fill": "open",
}


def refuse(**values):
    with pytest.raises(ConfigError) as caught:
        Params.parse(values)
    return caught.value


def test_defaults_are_the_contract():
    assert Params().as_dict() == CONTRACT


def test_parse_url_strings_and_json_numbers_alike():
    from_url = Params.parse(
        {
            "window": "60",
            "entry": "2.5",
            "hedge_window": "120",
            "gates": "warm,fresh",
            "y": "AAUSDT",
        }
    )
    from_json = Params.parse(
        {"window": 60, "entry": 2.5, "hedge_window": 120, "gates": ["warm", "fresh"], "y": "AAUSDT"}
    )
    assert from_url == from_json
    assert hash(from_url) == hash(from_json)


@pytest.mark.parametrize("empty", ["", " ", "null", "None", None])
def test_parse_blank_optional_is_unset(empty):
    assert Params.parse({"hedge_window": empty, "fee_bps": empty, "delta": empty}) == Params()


def test_parse_gates_named_twice_count_once():
    assert Params.parse({"gates": ["warm"] * 5000 + ["fresh", "warm"]}).gates == ("warm", "fresh")


def test_parse_empty_gates_means_none():
    assert Params.parse({"gates": ""}).gates == ()
    assert Params.parse({"gates": []}).gates == ()


def test_parse_base_keeps_what_is_not_given():
    base = Params.parse({"window": 80, "entry": 3})
    changed = Params.parse({"exit": 1}, base=base)
    assert (changed.window, changed.entry, changed.exit) == (80, 3.0, 1.0)


def test_parse_checks_the_whole_after_a_partial_change():
    with pytest.raises(ConfigError) as caught:
        Params.parse({"exit": 2.0}, base=Params())
    assert caught.value.field == "exit"


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("x", {"x": "BTCUSDT"}),
        ("y", {"y": "btc/usdt"}),
        ("y", {"y": "B" * 21}),
        ("y", {"y": "BTC\nUSDT"}),
        ("timeframe", {"timeframe": "3m"}),
        ("window", {"window": 2}),
        ("window", {"window": "many"}),
        ("window", {"window": 50.5}),
        ("window", {"window": 10**9}),
        ("entry", {"entry": 0, "exit": 0}),
        ("entry", {"entry": math.nan}),
        ("entry", {"entry": math.inf, "stop": 0}),
        ("fixed_beta", {"hedge_method": "fixed", "fixed_beta": math.nan}),
        ("funding_bps_8h", {"funding_bps_8h": "nan"}),
        ("capital", {"capital": "inf"}),
        ("exit", {"exit": -0.1}),
        ("exit", {"exit": 2.0}),
        ("stop", {"stop": 2.0}),
        ("stop", {"stop": 1.0}),
        ("stop", {"window": 17}),  # (17 − 1)/√17 = 3.88 < the default stop
        ("entry", {"window": 5, "stop": 0, "entry": 1.8}),
        ("min_correlation", {"min_correlation": 1.01}),
        ("min_correlation", {"min_correlation": -1.01}),
        ("max_pvalue", {"max_pvalue": 0}),
        ("max_pvalue", {"max_pvalue": 1}),
        ("test_window", {"test_window": 29}),
        ("test_every", {"test_every": 0}),
        ("cooldown", {"cooldown": -1}),
        ("max_hold", {"max_hold": 0}),
        ("capital", {"capital": 0}),
        ("leverage", {"leverage": 126}),
        ("fee_bps", {"fee_bps": -1}),
        ("slippage_bps", {"slippage_bps": -0.1}),
        ("gates", {"gates": "warm,lucky"}),
        ("fill", {"fill": "mid"}),
        ("fixed_beta", {"hedge_method": "fixed"}),
        ("price_scale", {"hedge_method": "tls", "price_scale": "raw"}),
        ("z_method", {"z_method": "innovation"}),
        ("obs_var", {"delta": 1e-5}),
        ("obs_var", {"obs_var": 1e-5}),
        ("delta", {"delta": 1.0, "obs_var": 1e-3}),
        ("calibration_end", {"calibration_start": 5}),
        ("calibration_end", {"calibration_end": 5}),
        ("calibration_end", {"calibration_start": 5, "calibration_end": 5}),
        ("entry_z", {"entry_z": 2.0}),
    ],
)
def test_parse_bad_value_names_the_field(field, values):
    error = refuse(**values)
    assert error.field == field
    assert field in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize(("level", "accepted"), [(4.0, True), (4.01, False)])
def test_parse_stop_no_window_can_show_is_refused(level, accepted):
    """|z| of the newest of 18 values is at most 17/√18 = 4.0069."""
    if accepted:
        assert Params.parse({"window": 18, "stop": level}).stop == level
    else:
        assert "4.01" in str(refuse(window=18, stop=level))


def test_parse_stop_off_needs_no_window():
    assert Params.parse({"window": 17, "stop": 0}).stop == 0


def test_parse_innovation_has_no_such_limit():
    """e/√S is not standardised by the window's own sd, so any level can be reached."""
    values = {"hedge_method": "kalman", "z_method": "innovation", "window": 5, "stop": 9}
    assert Params.parse(values).stop == 9


def test_parse_error_says_what_is_allowed_and_what_was_given():
    assert str(refuse(window=2)) == "window must be greater than or equal to 3, was 2"
    assert str(refuse(exit=3)) == "exit must be below entry (2), was 3"
    assert str(refuse(timeframe="2m")).startswith("timeframe must be '1s', '1m'")
    assert str(refuse(wndow=3)) == "wndow is not a parameter"


def test_params_cannot_be_changed():
    with pytest.raises(ValidationError):
        Params().window = 3


@pytest.mark.parametrize(
    ("values", "rows"),
    [
        ({}, 99),
        ({"hedge_window": 120}, 169),
        ({"hedge_method": "tls"}, 99),
        ({"hedge_method": "kalman"}, 50),
        ({"hedge_method": "static"}, 50),
        ({"hedge_method": "fixed", "fixed_beta": 25}, 50),
        ({"hedge_method": "kalman", "z_method": "innovation"}, 1),
    ],
)
def test_warmup_rows_per_method(values, rows):
    assert Params.parse(values).warmup_rows == rows


def test_carry_rows_follow_the_timeframe_unless_set():
    assert Params(timeframe=Timeframe.S1).carry_rows == 5
    assert Params(timeframe=Timeframe.M5).carry_rows == 2
    assert Params(max_carry=0).carry_rows == 0


def test_fee_is_the_markets_unless_set():
    assert Params().fee(Market.SPOT) == DEFAULT_FEE_BPS[Market.SPOT] == 10.0
    assert Params().fee(Market.FUTURES) == 4.0
    assert Params(fee_bps=0.0).fee(Market.SPOT) == 0.0


values = st.fixed_dictionaries(
    {},
    optional={
        "window": st.integers(-5, 200),
        "hedge_window": st.none() | st.integers(0, 200),
        "entry": st.floats(-1, 10),
        "exit": st.floats(-1, 10),
        "stop": st.floats(-1, 10),
        "gates": st.lists(st.sampled_from(GATES), max_size=7),
        "timeframe": st.sampled_from([*Timeframe, "7m"]),
        "hedge_method": st.sampled_from(["ols", "static", "kalman", "tls", "fixed"]),
        "fixed_beta": st.none() | st.floats(-100, 100),
    },
)


@given(values)
def test_parse_round_trips_through_json_or_refuses(given_values):
    """Whatever is accepted survives being stored and read again, and keeps the invariants."""
    try:
        rule = Params.parse(given_values)
    except ConfigError as error:
        assert error.field
        return
    assert Params.parse(rule.as_dict()) == rule
    assert 0 <= rule.exit < rule.entry
    assert rule.stop == 0 or rule.stop > rule.entry


@given(st.dictionaries(st.sampled_from(sorted(CONTRACT)), st.text(max_size=12)))
def test_parse_any_text_is_a_rule_or_a_config_error(texts):
    try:
        Params.parse(texts)
    except ConfigError as error:
        assert error.field in {*texts, "exit", "entry", "stop", "x", "fixed_beta", "obs_var",
                               "calibration_end", "price_scale", "z_method"}  # fmt: skip


@pytest.mark.parametrize("value", [False, True])
@pytest.mark.parametrize("field", ["stop", "fee_bps", "exit", "window", "gates"])
def test_parse_truth_values_are_no_numbers(field, value):
    """JSON's false is not 0: `{"stop": false}` must not switch the stop off."""
    with pytest.raises(
        ConfigError, match=f"{field} must not be true or false, was {value}".lower()
    ):
        Params.parse({field: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("capital", "1e-300"), ("capital", "1e300"), ("leverage", "1e-300")),
        *(("fixed_beta", "-1e300"), ("obs_var", "1e300"), ("min_edge_ratio", "1e300")),
        *(("entry", "1e300"), ("stop", "1e300")),
    ],
)
def test_parse_refuses_sizes_whose_products_end_in_zero_or_infinity(name, value):
    with pytest.raises(ConfigError, match=f"^{name} must be") as refused:
        Params.parse({"hedge_method": "kalman", "z_method": "innovation", name: value})
    assert refused.value.field == name
