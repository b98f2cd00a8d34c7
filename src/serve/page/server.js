// What the page asks of its server. Where a token is needed it comes behind the `#` of the first address, which no browser sends
// anywhere, and is kept for this tab and this origin (host and port) alone; each request carries it in a header of its own.

const KEPT = 'pentagrid-token';
/** Pauses before the connection is tried again, in milliseconds. */
const FIRST_PAUSE = 500, LONGEST_PAUSE = 5000;

let token = '';
try { token = sessionStorage.getItem(KEPT) ?? ''; } catch { /* A browser that keeps nothing: the token holds until the page is left. */ }
let renewed = () => {};

/** Takes the token out of the address, if it is there; says whether it was. */
export function takeToken() {
  if (!location.hash.startsWith('#token=')) return false;
  token = location.hash.slice('#token='.length);
  try { sessionStorage.setItem(KEPT, token); } catch { /* The same. */ }
  history.replaceState(null, '', location.pathname);
  renewed();
  return true;
}

const get = (path) => fetch(path, { headers: token ? { Authorization: `Bearer ${token}` } : {}, cache: 'no-store', redirect: 'error' });

/** An answer of the server; what went wrong is an error with the server's own words. */
export async function ask(path, parameters = {}) {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== '' && value !== undefined && value !== null));
  const response = await get(`${path}${query.size ? `?${query}` : ''}`);
  if (!response.ok) throw new Error((await response.text()).trim());
  return response.json();
}

/** Follows the server's events for as long as the page is open. `changed` gets each; `link` is told whether there is a connection. */
export async function follow(changed, link) {
  for (let pause = FIRST_PAUSE; ; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
    let why = '', refused = false;
    try {
      const response = await get('events');
      if (response.ok) {
        pause = FIRST_PAUSE;
        link(true);
        await read(response.body, changed);
      } else {
        refused = response.status === 401;
        why = (await response.text()).trim();
      }
    } catch { /* The server is gone; it may come back. */ }
    link(false, why);
    // Without the right token there is nothing to try again before another one comes.
    await new Promise((go) => { renewed = go; if (!refused) setTimeout(go, pause); });
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
