"""Backup while the program runs, restore while it does not."""

import sqlite3
import threading

import pytest

from model import StorageError
from storage.backup import backup, restore
from storage.check import check
from tests.storage_rows import put, stored, trade

pytest_plugins = ["tests.storage_fixtures"]


@pytest.fixture
def filled(sqlite_url, open_store):
    store = open_store(sqlite_url)
    store.writer.start()
    put(store, [trade(number) for number in range(1, 1000)])
    store.writer.flush()
    return store


def test_backup_of_a_running_store_is_one_sound_moment(filled, sqlite_url, tmp_path, open_store):
    stopping = threading.Event()

    def write():
        number = 1000
        while not stopping.is_set():
            put(filled, [trade(n) for n in range(number, number + 50)])
            number += 50
            stopping.wait(0.002)

    writing = threading.Thread(target=write)
    writing.start()
    copies = [tmp_path / f"copy{number}.db" for number in range(3)]
    sizes = [backup(sqlite_url, copy) for copy in copies]
    stopping.set()
    writing.join()
    for copy, size in zip(copies, sizes, strict=True):
        assert copy.stat().st_size == size
        assert check(open_store(f"sqlite:///{copy}")) == []
    assert not list(tmp_path.glob("*.unfinished"))


def test_restore_brings_back_the_copy_and_keeps_what_was_there(
    filled, sqlite_url, tmp_path, open_store
):
    copy = tmp_path / "copy.db"
    backup(sqlite_url, copy)
    put(filled, [trade(1000)])
    filled.close()
    kept = restore(copy, sqlite_url)
    assert len(stored(open_store(sqlite_url))) == 999
    assert len(stored(open_store(f"sqlite:///{kept}"))) == 1000


def test_what_an_earlier_restore_set_aside_stays(filled, sqlite_url, tmp_path):
    backup(sqlite_url, tmp_path / "copy.db")
    filled.close()
    kept = [restore(tmp_path / "copy.db", sqlite_url) for _ in range(3)]
    assert len(set(kept)) == 3
    assert all(path.is_file() for path in kept)


def test_restore_to_a_new_place(filled, sqlite_url, tmp_path, open_store):
    copy = tmp_path / "copy.db"
    backup(sqlite_url, copy)
    assert restore(copy, f"sqlite:///{tmp_path}/new/place.db") is None
    assert len(stored(open_store(f"sqlite:///{tmp_path}/new/place.db"))) == 999


def test_restore_over_a_running_store_is_refused(filled, sqlite_url, tmp_path):
    copy = tmp_path / "copy.db"
    backup(sqlite_url, copy)
    with pytest.raises(StorageError, match="being written by another program"):
        restore(copy, sqlite_url)
    put(filled, [trade(1000)])
    assert filled.writer.flush()
    assert len(stored(filled)) == 1000


def test_backup_never_overwrites(filled, sqlite_url, tmp_path):
    (tmp_path / "copy.db").write_text("precious")
    with pytest.raises(StorageError, match="exists already"):
        backup(sqlite_url, tmp_path / "copy.db")
    assert (tmp_path / "copy.db").read_text() == "precious"


def test_backup_without_a_database_or_a_folder_is_refused_in_one_line(filled, tmp_path, sqlite_url):
    with pytest.raises(StorageError, match="there is no database"):
        backup(f"sqlite:///{tmp_path}/none.db", tmp_path / "copy.db")
    with pytest.raises(StorageError, match="cannot copy"):
        backup(sqlite_url, tmp_path / "no folder" / "copy.db")


def spoil(copy, how):
    if how == "not a database":
        copy.write_text("hello" * 1000)
    elif how == "another program's":
        copy.unlink()
        with sqlite3.connect(copy) as other:
            other.execute("CREATE TABLE schema_version (version)")
        other.close()
    elif how == "newer":
        with sqlite3.connect(copy) as ours:
            ours.execute("UPDATE schema_version SET version = 99")
        ours.close()
    elif how == "damaged":
        data = bytearray(copy.read_bytes())
        data[8192:12288] = b"\x07" * 4096
        copy.write_bytes(data)
    else:
        copy.unlink()


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("not a database", "not a database of this program"),
        ("another program's", "not a database of this program"),
        ("newer", "schema 99, newer than"),
        ("damaged", "damaged|malformed"),
        ("gone", "there is no file"),
    ],
)
def test_restore_of_a_bad_copy_is_refused_and_nothing_touched(
    filled, sqlite_url, tmp_path, how, says
):
    copy = tmp_path / "copy.db"
    backup(sqlite_url, copy)
    filled.close()
    before = (tmp_path / "pairs.db").read_bytes()
    spoil(copy, how)
    with pytest.raises(StorageError, match=says) as refusal:
        restore(copy, sqlite_url)
    assert "\n" not in str(refusal.value)
    assert (tmp_path / "pairs.db").read_bytes() == before


@pytest.mark.postgres
def test_backup_of_postgres_names_its_own_tools(postgres_url, tmp_path):
    with pytest.raises(StorageError, match="pg_dump"):
        backup(postgres_url, tmp_path / "copy.db")
