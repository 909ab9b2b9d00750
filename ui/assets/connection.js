// The push socket: reconnects by itself, resumes by `seq`, and says what it is doing.
// Rule 1: nothing here touches the page. Rule 2: a silent socket is a dead socket.

const FIRST_DELAY_MS = 400;
const LONGEST_DELAY_MS = 10_000;
const SILENCE_MS = 8_000; // the server says something every 2 s

export class Connection {
  /**
   * @param {{address: (seq: number) => URL, seq: () => number,
   *          onMessage: (message: object) => void,
   *          onState: (state: "connecting"|"open"|"reconnecting"|"refused", text: string) => void}} to
   */
  constructor(to) {
    this.to = to;
    this.attempts = 0;
    this.bytes = 0;
    this.isClosed = false;
    this.online = () => this.retryNow();
    window.addEventListener("online", this.online);
    this.open();
  }

  open() {
    if (this.isClosed) return;
    clearTimeout(this.timer);
    this.to.onState(this.attempts ? "reconnecting" : "connecting", "");
    const socket = new WebSocket(this.to.address(this.to.seq()));
    this.socket = socket;
    this.listen();
    socket.onmessage = (event) => this.receive(socket, event.data);
    socket.onclose = () => this.lost(socket);
  }

  receive(socket, text) {
    if (socket !== this.socket) return;
    this.listen();
    this.bytes += text.length;
    const message = JSON.parse(text);
    if (message.type === "error") {
      // Asking again would be refused again: wait for other parameters.
      this.isRefused = true;
      this.to.onState("refused", message.error?.message ?? "the server refused the request");
      return;
    }
    if (this.attempts || !this.isOpen) this.to.onState("open", "");
    this.isOpen = true;
    this.attempts = 0;
    this.to.onMessage(message);
  }

  lost(socket) {
    if (socket !== this.socket || this.isClosed) return;
    clearTimeout(this.silence);
    this.isOpen = false;
    if (this.isRefused) return;
    const delay = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 1.7 ** this.attempts);
    this.attempts += 1;
    this.to.onState("reconnecting", "");
    this.timer = setTimeout(() => this.open(), delay * (0.75 + Math.random() / 2));
  }

  listen() {
    clearTimeout(this.silence);
    const socket = this.socket;
    this.silence = setTimeout(() => {
      socket.close();
      this.lost(socket);
    }, SILENCE_MS);
  }

  retryNow() {
    if (this.isClosed || this.isOpen || this.isRefused) return;
    this.drop();
    this.open();
  }

  /** Start over, for instance with other parameters. */
  restart() {
    this.drop();
    this.attempts = 0;
    this.isRefused = false;
    this.isOpen = false;
    this.open();
  }

  drop() {
    clearTimeout(this.timer);
    clearTimeout(this.silence);
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }

  close() {
    this.isClosed = true;
    window.removeEventListener("online", this.online);
    this.drop();
  }
}
