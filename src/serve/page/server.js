// Requests to the server. If a token is needed, it comes after the `#` of the first address, which
// a browser never sends. It is
// kept for this tab and this origin (host and port) only, and each request carries it in a header.

const KEPT = 'pentagrid-token';
/** Shortest and longest delay before reconnecting, in milliseconds. */
const MIN_DELAY = 500,
  MAX_DELAY = 5000;

let token = '';
try {
  token = sessionStorage.getItem(KEPT) ?? '';
} catch {
  /* Storage is disabled: the token is valid until the page is left. */
}
let renewed = () => {};

/** Removes the token from the address, if it is there. Returns whether it was. */
export function takeToken() {
  if (!location.hash.startsWith('#token=')) return false;
  token = location.hash.slice('#token='.length);
  try {
    sessionStorage.setItem(KEPT, token);
  } catch {
    /* Storage is disabled. */
  }
  history.replaceState(null, '', location.pathname);
  renewed();
  return true;
}

const get = (path) =>
  fetch(path, {
    headers: token ? { Authorization: `Bearer ${token}` } : {},
    cache: 'no-store',
    redirect: 'error',
  });

/** Returns an answer of the server; throws an error with the server's message. */
export async function ask(path, parameters = {}) {
  const query = new URLSearchParams(
    Object.entries(parameters).filter(
      ([, value]) => value !== '' && value !== undefined && value !== null,
    ),
  );
  const response = await get(`${path}${query.size ? `?${query}` : ''}`);
  if (!response.ok) throw new Error((await response.text()).trim());
  return response.json();
}

/**
 * Follows the server's events for as long as the page is open. `changed` gets each one; `link` gets
 * whether there is a connection.
 */
export async function follow(changed, link) {
  for (let delay = MIN_DELAY; ; delay = Math.min(delay * 2, MAX_DELAY)) {
    let why = '',
      refused = false;
    try {
      const response = await get('events');
      if (response.ok) {
        delay = MIN_DELAY;
        link(true);
        await read(response.body, changed);
      } else {
        refused = response.status === 401;
        why = (await response.text()).trim();
      }
    } catch {
      /* The server is not reachable; it may come back. */
    }
    link(false, why);
    // Without the right token it is useless to reconnect before another one is given.
    await new Promise((go) => {
      renewed = go;
      if (!refused) setTimeout(go, delay);
    });
  }
}

/** Reads server-sent events until the stream ends. */
async function read(stream, changed) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const events = (rest + value).split('\n\n');
    rest = events.pop();
    for (const event of events) {
      const lines = event.split('\n').filter((line) => line.startsWith('data:'));
      if (lines.length) changed(JSON.parse(lines.map((line) => line.slice(5)).join('\n')));
    }
  }
}
