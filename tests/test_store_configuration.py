"""Versioned configuration entries."""

pytest_plugins = ["tests.storage_fixtures"]


def test_put_makes_a_new_version_and_get_returns_the_newest(store):
    assert store.config.get("rule") is None
    assert store.config.put("rule", {"window": 50}, now_ms=10) == 1
    assert store.config.put("rule", {"window": 60, "gates": ["warm"]}, now_ms=20) == 2
    entry = store.config.get("rule")
    assert (entry.version, entry.ts, entry.body) == (2, 20, {"window": 60, "gates": ["warm"]})
    assert [old.body["window"] for old in store.config.history("rule")] == [60, 50]


def test_put_of_none_deletes_and_keeps_the_past(store):
    store.config.put("preset/a", {"window": 50}, now_ms=1)
    store.config.put("preset/a", None, now_ms=2)
    assert store.config.get("preset/a") is None
    assert len(store.config.history("preset/a")) == 2
    assert store.config.put("preset/a", {"window": 9}, now_ms=3) == 3


def test_entries_are_shared_by_all_venues(url, open_store):
    open_store(url, venue="simulated:1").config.put("rule", {"window": 50}, now_ms=1)
    assert open_store(url).config.get("rule").body == {"window": 50}


def test_names_and_texts_are_data_never_sql(store):
    name = "'; DROP TABLE config; --"
    store.config.put(name, {"note": "\x00 ' \" é %s ?"}, now_ms=1)
    assert store.config.get(name).body == {"note": "\x00 ' \" é %s ?"}
