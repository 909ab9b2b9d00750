// The short way of a figure: by one socket of this tab, past the page's other elements.
// Rule: nothing depends on it. What is missed here comes with the page.

const RETRY_MS = 5000;
const followers = new Map(); // a figure's key → who draws it
let address, socket;

/** Hand every message about the figure `key` that comes from `where` to `take`. */
export function follow(where, key, take) {
  followers.set(key, take);
  if (where === address) return;
  address = where;
  open();
}

export function unfollow(key, take) {
  if (followers.get(key) === take) followers.delete(key);
}

function open() {
  const url = new URL(address, document.baseURI);
  url.protocol = url.protocol.replace("http", "ws");
  socket?.close();
  const mine = new WebSocket(url);
  socket = mine;
  mine.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    followers.get(message.key)?.(message);
  };
  mine.onclose = () => setTimeout(() => mine === socket && open(), RETRY_MS);
}
