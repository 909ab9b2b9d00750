"""The deployment examples, as far as they can be held without a container engine or systemd."""

import configparser
import http.server
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml

from settings import Settings

ROOT = Path(__file__).resolve().parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


class Answer(http.server.BaseHTTPRequestHandler):
    """Answers with the server's status where the token is right."""

    def do_GET(self):
        is_in = self.headers["Authorization"] == "Bearer secret"
        self.send_response(self.server.status if is_in else 401)
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def app():
    """A stand-in for the app whose `status` a test sets."""
    server = http.server.HTTPServer(("127.0.0.1", 0), Answer)
    server.status = 200
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join(5)
    server.server_close()


def check(port, token="secret"):
    return subprocess.run(
        [sys.executable, ROOT / "deploy" / "healthcheck.py", f"http://127.0.0.1:{port}/api/health"],
        env={**os.environ, "PAIRS_API_TOKEN": token},
        capture_output=True,
        text=True,
    )


def test_healthcheck_of_a_healthy_app_is_0(app):
    assert check(app.server_port).returncode == 0


@pytest.mark.parametrize(("status", "token"), [(503, "secret"), (200, "wrong")])
def test_healthcheck_of_a_failing_app_is_1_and_says_why(app, status, token):
    app.status = status
    found = check(app.server_port, token)
    assert found.returncode == 1
    assert "HTTP Error" in found.stderr
    assert token not in found.stderr


def test_healthcheck_without_an_app_is_1(free_port):
    found = check(free_port())
    assert found.returncode == 1
    assert "Traceback" not in found.stderr


def test_container_runs_without_rights_and_keeps_its_data():
    assert re.search(r"^USER pairs$", DOCKERFILE, re.MULTILINE)
    assert re.search(r"^VOLUME /data$", DOCKERFILE, re.MULTILINE)
    assert "deploy/healthcheck.py" in DOCKERFILE
    assert '"streamlit", "run", "app.py"' in DOCKERFILE


@pytest.mark.parametrize("file", ["Dockerfile", "compose.yaml", "deploy/pairs.service"])
def test_examples_name_only_settings_there_are(file):
    text = (ROOT / file).read_text(encoding="utf-8")
    known = {f"PAIRS_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"PAIRS_[A-Z0-9_]+", text)) <= known


def test_compose_publishes_on_loopback_and_asks_for_a_token():
    services = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
    pairs = services["pairs"]
    assert all(port.startswith("127.0.0.1:") for port in pairs["ports"])
    assert ":?" in pairs["environment"]["PAIRS_API_TOKEN"]
    assert services["database"]["profiles"] == ["postgres"]


def test_unit_runs_readmes_command_as_a_user():
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str
    unit.read(ROOT / "deploy" / "pairs.service")
    assert unit["Service"]["ExecStart"].endswith("streamlit run app.py")
    assert unit["Service"]["User"] == "pairs"
    assert unit["Service"]["RestartPreventExitStatus"] == "2"
