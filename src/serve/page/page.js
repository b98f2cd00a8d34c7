// The page: follows the server's events, shows one view at a time, and keeps its state in the
// address.
import { $, isHeld, released } from './dom.js';
import { listen, showCurves, showParameters } from './charts.js';
import { chosen, listenCompared, setChosen, showCompared } from './compare.js';
import { sections, tick } from './overview.js';
import { follow, takeToken } from './server.js';
import { showTrial } from './trial.js';
import { address, build, setFilter, showTrials } from './trials.js';

const VIEWS = ['overview', 'curves', 'parameters', 'trials', 'failures'];
/** Minimum time between two requests for what a view needs beyond the sections, in milliseconds. */
const REFRESH_INTERVAL = 1000;

const data = {};
let view = 'overview',
  trial = null,
  drawn = 0,
  timer = null;
/** Sections that have arrived while a mouse button or a finger is down. */
let kept = {};

/** Views that use the selection of trials. */
const CHOOSING = ['trials', 'curves'];

/**
 * `#trials?state=failed&chosen=ID,ID&trial=ID`: the view, its filter, the selected trials, the open
 * trial.
 */
function read() {
  takeToken();
  const [name, query] = location.hash.slice(1).split('?');
  if (name === 'main') return;
  const parameters = new URLSearchParams(query);
  view = VIEWS.includes(name) ? name : 'overview';
  trial = parameters.get('trial');
  if (CHOOSING.includes(view)) setChosen(parameters.get('chosen'));
  if (view === 'trials') setFilter(parameters);
  $('compared').hidden = chosen().length === 0;
  $('with-running').hidden = chosen().length > 0;
  $('h-curves').textContent = chosen().length
    ? 'Learning curves of the selected trials'
    : 'Learning curves';
  for (const one of VIEWS) $(`view-${one}`).hidden = one !== view;
  for (const link of document.querySelectorAll('nav a')) {
    if (link.dataset.view === view) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  more();
}

function write(push) {
  const query = new URLSearchParams(view === 'trials' ? address() : '');
  if (CHOOSING.includes(view) && chosen().length) query.set('chosen', chosen().join(','));
  if (trial) query.set('trial', trial);
  const hash = `#${view}${query.size ? `?${query}` : ''}`;
  if (hash === location.hash) return more();
  history[push ? 'pushState' : 'replaceState'](null, '', hash);
  read();
}

/** Requests what the view and the open trial need beyond the sections. */
async function more() {
  clearTimeout(timer);
  timer = null;
  drawn = Date.now();
  if (!data.sweep) return;
  try {
    if (view === 'curves') await (chosen().length ? showCompared() : showCurves());
    if (view === 'parameters') await showParameters(data);
    if (view === 'trials') await showTrials(data, data.version);
    await showTrial(trial, data);
  } catch (error) {
    link(false, error.message);
  }
}

/** Shows sections that have arrived at once, and schedules the requests for the rest. */
function update(fresh) {
  if (isHeld()) {
    if (!('version' in kept))
      released().then(() => {
        const late = kept;
        kept = {};
        update(late);
      });
    Object.assign(kept, fresh);
    return;
  }
  const before = data.sweep?.state;
  Object.assign(data, fresh);
  for (const [name, show] of Object.entries(sections)) {
    // These sections also depend on the sweep as a whole.
    if (name in fresh || (fresh.sweep && ['arms', 'running', 'leaders'].includes(name)))
      show(data[name], data);
  }
  if (before && before !== data.sweep.state)
    $('announce').textContent = `The sweep is ${data.sweep.state}.`;
  document.documentElement.dataset.version = data.version;
  const wait = REFRESH_INTERVAL - (Date.now() - drawn);
  if (wait <= 0) more();
  else timer ??= setTimeout(() => released().then(more), wait);
}

function link(good, why = '') {
  $('link').textContent = good
    ? ''
    : why || 'The connection to pentagrid serve is lost; reconnecting.';
}

const open = (id) => {
  trial = id;
  write(true);
};
document.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (button?.dataset.trial) open(button.dataset.trial);
  if (button?.dataset.close !== undefined) $('trial').close();
});
$('trial').addEventListener('close', () => {
  if (trial) {
    trial = null;
    write(true);
  }
});
// A click beside the dialog closes it, as Escape does.
$('trial').addEventListener('click', (event) => {
  if (event.target === $('trial')) $('trial').close();
});

const THEMES = { '': 'Theme: system', light: 'Theme: light', dark: 'Theme: dark' };
function theme(name) {
  if (name) document.documentElement.dataset.theme = name;
  else delete document.documentElement.dataset.theme;
  $('theme').textContent = THEMES[name];
  try {
    localStorage.setItem('pentagrid-theme', name);
  } catch {
    /* Storage is disabled. */
  }
}
$('theme').addEventListener('click', () => {
  const names = Object.keys(THEMES);
  theme(names[(names.indexOf(document.documentElement.dataset.theme ?? '') + 1) % names.length]);
});
let chosenTheme = '';
try {
  chosenTheme = localStorage.getItem('pentagrid-theme') ?? '';
} catch {
  /* Storage is disabled. */
}
theme(chosenTheme in THEMES ? chosenTheme : '');

build(() => write(false), open);
listenCompared(() => write(true));
listen(() => more());
window.addEventListener('hashchange', read);
window.addEventListener('popstate', read);
setInterval(tick, 1000);
read();
follow((fresh) => {
  link(true);
  update(fresh);
}, link);
