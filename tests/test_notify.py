"""Deliveries against real receivers on this machine: ready, slow, failing, dead."""

import hashlib
import hmac
import json
import logging
import threading
import time
from types import SimpleNamespace

import pytest

from model import ConfigError
from notify import Notifier
from notify.channel import MOST_WAITING, Channel, Message
from notify.notifier import compose, make_target
from notify.webhook import Webhook, sign
from settings import Settings
from tests.receiver import Receiver
from tests.waiting import wait_until

# The notification library still imports a module Python 3.13 removes.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
EVENT = {
    "id": 7, "rule_id": 1, "ts": 1_700_000_000_000, "kind": "entry", "y": "BTCUSDT",
    "x": "ETHUSDT", "timeframe": "1m", "zscore": 2.31, "correlation": 0.91, "value": 2.31,
    "message": "BTCUSDT/ETHUSDT 1m: z-score 2.31, at or above 2 (SELL the spread)",
}  # fmt: skip


@pytest.fixture
def receiver():
    found = Receiver()
    yield found
    found.close()


class FakeStore:
    """Keeps configuration and the delivery log in memory."""

    is_simulated = False

    def __init__(self):
        self.entries, self.log = {}, []
        self.logged = threading.Condition()
        self.config = SimpleNamespace(
            get=lambda name: self.entries.get(name),
            put=lambda name, body, now_ms: self.entries.__setitem__(
                name, SimpleNamespace(body=body)
            ),
        )
        self.alerts = SimpleNamespace(add_delivery=self._add, deliveries=lambda limit: self.log)

    def _add(self, delivery):
        with self.logged:
            self.log.append(delivery)
            self.logged.notify_all()

    def expect(self, count, timeout_s=10):
        with self.logged:
            assert self.logged.wait_for(lambda: len(self.log) >= count, timeout_s), self.log
        return [row.status for row in self.log]


def quick(target, **options):
    return Channel(target, first_retry_s=0.02, most_attempts=4, **options)


@pytest.fixture
def notifier():
    """A notifier with these targets, started; stopped at the end."""
    made = []

    def make(*urls, channel=quick):
        store = FakeStore()
        settings = Settings(notify_urls=list(urls))
        found = Notifier(settings, store, channel=channel)
        found.start()
        made.append(found)
        deadline = time.monotonic() + 10
        while len(found.channels()) < len(urls):
            assert time.monotonic() < deadline
            time.sleep(0.005)
        return found, store

    yield make
    for found in made:
        found.stop()


def test_webhook_is_signed_over_time_and_body(receiver):
    hook = Webhook(f"webhook+http://k%2Fey@127.0.0.1:{receiver.port}/in?a=1", lambda: 1_700_000_000)
    assert hook.deliver("Title", "Text", EVENT) == ""
    path, headers, body = receiver.got[0]
    assert path == "/in?a=1"
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Pairs-Timestamp"] == "1700000000"
    want = hmac.new(b"k/ey", b"1700000000." + body, hashlib.sha256).hexdigest()
    assert headers["X-Pairs-Signature"] == f"sha256={want}"
    assert json.loads(body) == EVENT | {"title": "Title", "text": "Text"}
    assert sign("other", "1700000000", body) != headers["X-Pairs-Signature"]


def test_webhook_without_secret_is_not_signed(receiver):
    Webhook(f"webhook+http://127.0.0.1:{receiver.port}/").deliver("", "", EVENT)
    assert "X-Pairs-Signature" not in receiver.got[0][1]


def test_webhook_does_not_follow_redirects(receiver):
    """The secret-bearing request goes where it was sent, nowhere else."""
    receiver.statuses = [302]
    hook = Webhook(f"webhook+http://key@127.0.0.1:{receiver.port}/")
    assert hook.deliver("", "", EVENT) == "HTTP 302"


def test_webhook_reads_no_long_answer(receiver):
    receiver.answer_bytes = 1_000_000_000
    assert Webhook(f"webhook+http://127.0.0.1:{receiver.port}/").deliver("", "", EVENT) == ""
    assert receiver.answered < 50_000_000


@pytest.mark.parametrize(
    "url",
    [
        "webhook+ftp://h/",
        "webhook+https://",
        "webhook+https://[::1",
        "webhook+",
        "webhook+http://a..b/",
        "webhook+http://xn--/",
        "webhook+http://\u202e.x/",
        "webhook+http://h/\x00",
        "webhook+http://h:99999/",
        "dbus://[::1",
        "nonsense://x",
        "",
    ],
)
def test_bad_address_is_refused_without_showing_it(url):
    with pytest.raises(ConfigError) as refused:
        make_target(url + "?token=S3CRET" if "//" in url else url)
    assert "S3CRET" not in str(refused.value)


def test_event_is_delivered_once_with_its_numbers(receiver, notifier):
    found, store = notifier(f"json://127.0.0.1:{receiver.port}/in")
    found.send(EVENT)
    body = json.loads(receiver.expect(1)[0][2])
    assert body["title"] == "Alert: BTCUSDT/ETHUSDT 1m"
    assert "z-score 2.31" in body["message"]
    assert "2023-11-14 22:13:20 UTC" in body["message"]
    assert "correlation 0.91" in body["message"]
    assert store.expect(1) == ["delivered"]
    assert (store.log[0].event_id, store.log[0].attempt) == (7, 1)


def test_failing_receiver_is_tried_again_with_growing_pauses(receiver, notifier):
    receiver.statuses = [500, 503]
    found, store = notifier(f"webhook+http://127.0.0.1:{receiver.port}/")
    found.send(EVENT)
    assert store.expect(3) == ["retrying", "retrying", "delivered"]
    assert [row.attempt for row in store.log] == [1, 2, 3]
    assert store.log[0].detail == "HTTP 500; again in 0.02 s"
    assert store.log[1].detail == "HTTP 503; again in 0.04 s"
    assert len(receiver.got) == 3


def test_dead_receiver_is_given_up_and_logged(free_port, notifier, caplog):
    found, store = notifier(f"webhook+http://S3CRET@127.0.0.1:{free_port()}/T0K3N")
    found.send(EVENT)
    assert store.expect(4) == ["retrying", "retrying", "retrying", "failed"]
    assert "gave up" in caplog.text
    for text in (caplog.text, str(store.log)):
        assert "S3CRET" not in text
        assert "T0K3N" not in text


def test_slow_receiver_delays_neither_the_caller_nor_the_others(receiver, notifier):
    other = Receiver()
    receiver.wait.clear()
    slow, fast = (f"webhook+http://127.0.0.1:{one.port}/" for one in (receiver, other))
    found, _ = notifier(slow, fast)
    started = time.monotonic()
    for number in range(20):
        found.send(EVENT | {"id": number})
    assert time.monotonic() - started < 1
    other.expect(20)
    assert receiver.got == []
    receiver.wait.set()
    receiver.expect(20)
    other.close()


def test_messages_keep_their_order_and_the_queue_is_bounded():
    release, sent, attempts = threading.Event(), [], []

    class Slow:
        name = "slow"

        def deliver(self, title, body, event):
            release.wait(10)
            sent.append(event["id"])
            return ""

    channel = Channel(Slow(), on_attempt=attempts.append)
    channel.start()
    total = MOST_WAITING + 50
    for number in range(total):
        channel.put(Message("", "", {"id": number}))
    release.set()
    deadline = time.monotonic() + 10
    while len(attempts) < total:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    channel.stop()
    assert sent == sorted(sent)
    assert sent[-1] == total - 1
    dropped = [one.event_id for one in attempts if one.status == "dropped"]
    assert sorted(dropped + sent) == list(range(total))
    assert len(sent) in (MOST_WAITING, MOST_WAITING + 1)


def test_target_that_raises_is_tried_again(caplog):
    tries, done = [], threading.Event()

    class Broken:
        name = "broken"

        def deliver(self, title, body, event):
            tries.append(1)
            if len(tries) < 3:
                raise ZeroDivisionError
            done.set()
            return ""

    channel = quick(Broken(), on_attempt=lambda attempt: None)
    channel.start()
    channel.put(Message("", "", EVENT))
    assert done.wait(10)
    channel.stop()
    assert "delivering to broken failed" in caplog.text


def test_stop_ends_a_waiting_retry_at_once(free_port, notifier):
    found, store = notifier(
        f"webhook+http://127.0.0.1:{free_port()}/",
        channel=lambda target, **options: Channel(target, first_retry_s=60, **options),
    )
    found.send(EVENT)
    store.expect(1)
    started = time.monotonic()
    found.stop()
    assert time.monotonic() - started < 1


def test_test_message_says_why_it_was_not_taken(receiver, notifier, free_port):
    found, store = notifier(
        f"webhook+http://127.0.0.1:{receiver.port}/", f"webhook+http://127.0.0.1:{free_port()}/"
    )
    assert found.test("s1") == ""
    assert found.test("s2") == "ConnectError"
    assert json.loads(receiver.got[0][2])["kind"] == "test"
    assert [(row.event_id, row.status) for row in store.log] == [(0, "delivered"), (0, "failed")]
    with pytest.raises(ConfigError):
        found.test("s3")


def test_test_of_a_target_that_raises_says_so(receiver, notifier, caplog):
    found, _ = notifier(f"webhook+http://127.0.0.1:{receiver.port}/")
    wait_until(lambda: found._channels)

    def broken(*_):
        raise ZeroDivisionError("S3CRET")

    found._channels["s1"].target.deliver = broken
    assert found.test("s1") == "ZeroDivisionError"


def test_bad_target_in_settings_is_shown_not_used(receiver, notifier, caplog):
    found, _ = notifier("nonsense://S3CRET", f"json://127.0.0.1:{receiver.port}")
    infos = {info.id: info for info in found.channels()}
    assert infos["s1"].problem
    assert not infos["s2"].problem
    assert "S3CRET" not in caplog.text + str(infos)
    found.send(EVENT)
    receiver.expect(1)


def test_stored_targets_come_back_after_a_restart(receiver):
    store = FakeStore()
    first = Notifier(Settings(), store, channel=quick)
    first.start()
    info = first.add(f"json://user:S3CRET@127.0.0.1:{receiver.port}/")
    assert "S3CRET" not in info.name
    first.stop()
    second = Notifier(Settings(), store, channel=quick)
    second.start()
    deadline = time.monotonic() + 10
    while not second.channels():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    second.send(EVENT)
    receiver.expect(1)
    assert second.remove(info.id)
    assert not second.remove(info.id)
    second.send(EVENT)
    second.stop()
    assert len(receiver.got) == 1


def test_message_of_the_simulated_exchange_says_so():
    message = compose(EVENT, is_simulated=True)
    assert message.title.startswith("[SIMULATED] ")
    assert message.event["simulated"] is True
    assert not compose(EVENT, is_simulated=False).title.startswith("[SIM")


def test_library_does_not_log_addresses(notifier, free_port, caplog):
    caplog.set_level(logging.DEBUG)
    found, store = notifier(f"json://user:S3CRET@127.0.0.1:{free_port()}/T0K3N")
    found.send(EVENT)
    store.expect(1)
    assert "S3CRET" not in caplog.text


def test_channels_added_at_once_are_all_kept(notifier):
    found, store = notifier()
    put, urls = store.config.put, [f"webhook+http://h{number}.example/" for number in range(8)]

    def slow_put(name, body, now_ms):
        time.sleep(0.01)
        put(name, body, now_ms)

    store.config.put = slow_put
    threads = [threading.Thread(target=found.add, args=(url,)) for url in urls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(store.entries["notify.urls"].body["urls"].values()) == urls
    assert len(found.channels()) == 8
