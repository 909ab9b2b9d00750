"""A line between a browser and a server that a test can cut, leave silent, and mend."""

import contextlib
import socket
import threading


class Line:
    """Forwards TCP connections to `port` of loopback; every byte passes while it is whole."""

    def __init__(self, port: int) -> None:
        """Listen on a free port."""
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._whole = threading.Event()
        self._is_cut = False
        self._open: set[socket.socket] = set()
        self._whole.set()
        threading.Thread(target=self._accept, name="line", daemon=True).start()

    def cut(self) -> None:
        """End what is connected and refuse what comes."""
        self._is_cut = True
        for one in list(self._open):
            self._end(one)

    def silence(self) -> None:
        """Keep connections and pass nothing on, as a dead router does."""
        self._whole.clear()

    def mend(self) -> None:
        """Pass everything on again."""
        self._is_cut = False
        self._whole.set()

    def close(self) -> None:
        """End it for good."""
        self._whole.set()
        self.cut()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                browser, _ = self._listener.accept()
            except OSError:
                return
            if self._is_cut:
                browser.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._to), timeout=5)
            except OSError:
                browser.close()
                continue
            server.settimeout(None)
            self._open |= {browser, server}
            for ends in ((browser, server), (server, browser)):
                threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._whole.wait()
                target.sendall(data)
        self._end(source)
        self._end(target)

    def _end(self, one: socket.socket) -> None:
        self._open.discard(one)
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()
