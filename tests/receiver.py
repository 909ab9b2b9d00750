"""A real HTTP server for deliveries."""

import contextlib
import http.server
import threading


class Receiver:
    """A real HTTP server whose answers a test chooses; keeps what it was sent."""

    def __init__(self):
        self.got, self.statuses, self.wait = [], [], threading.Event()
        self.wait.set()
        self.answer_bytes = self.answered = 0
        self.location = "http://127.0.0.1:9/elsewhere"
        self.arrived = threading.Condition()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.wait.wait(20)
                with receiver.arrived:
                    status = receiver.statuses.pop(0) if receiver.statuses else 200
                    receiver.got.append((self.path, dict(self.headers), body))
                    receiver.arrived.notify_all()
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("Location", receiver.location)
                self.send_header("Content-Length", str(receiver.answer_bytes))
                self.end_headers()
                with contextlib.suppress(OSError):
                    for _ in range(receiver.answer_bytes // 1000):
                        self.wfile.write(b"x" * 1000)
                        receiver.answered += 1000

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def expect(self, count, timeout_s=10):
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.got) >= count, timeout_s), self.got
        return self.got

    def close(self):
        self.wait.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)
