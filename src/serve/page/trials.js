// The list of trials. The server filters and sorts; the page holds only the visible rows, and some
// around them.
import { choose, isChosen } from './compare.js';
import { $, clock, count, duration, el, figure, options, plural, released } from './dom.js';
import { ask } from './server.js';

const PAGE = 100;
const COLUMNS = [
  [null, ''],
  ['', 'Trial'],
  ['arm', 'Arm'],
  [null, 'Values'],
  ['seed', 'Seed'],
  [null, 'Phase'],
  ['state', 'State'],
  ['metric', 'Metric'],
  ['seconds', 'Duration'],
  ['started', 'Started'],
];

const view = { arm: '', state: '', q: '', sort: '', descending: false };
let pages = new Map(),
  pending = new Set(),
  total = 0,
  unknown = [],
  active = 0,
  version = -1,
  generation = 0;
let head,
  body,
  height = 32,
  told = () => {},
  opened = () => {},
  scheduled = false;

/** The filter, as a query of the address. */
export function address() {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(view)) if (value) query.set(name, value);
  return query.toString();
}

/** Reads the filter from the address. */
export function setFilter(query) {
  const before = JSON.stringify(view);
  Object.assign(view, {
    arm: query.get('arm') ?? '',
    state: query.get('state') ?? '',
    q: query.get('q') ?? '',
    sort: query.get('sort') ?? '',
    descending: query.get('descending') === 'true',
  });
  $('filter-q').value = view.q;
  $('filter-arm').value = view.arm;
  $('filter-state').value = view.state;
  if (before !== JSON.stringify(view)) reset();
}

/** Why no trial matches, if the filter names what the sweep does not have. */
function reason() {
  return unknown.length ? `: the sweep has neither a parameter nor a metric ${unknown.join(', ')}` : '';
}

function reset() {
  active = 0;
  $('list').scrollTop = 0;
  version = -1;
}

/**
 * Builds the list. `changed` is called when the filter or the selection has changed, `open` with
 * the id of a trial to open.
 */
export function build(changed, open) {
  told = changed;
  opened = open;
  head = el('div', { class: 'row head', role: 'row', 'aria-rowindex': 1 });
  body = el('div', { class: 'body', role: 'rowgroup' });
  $('list').append(el('div', { role: 'rowgroup' }, head), body);
  $('list').addEventListener('scroll', redraw, { passive: true });
  $('list').addEventListener('keydown', keys);
  $('list').addEventListener('click', (event) => {
    const row = event.target.closest('[data-at]');
    // The user is selecting text to copy it.
    if (!row || !document.getSelection().isCollapsed) return;
    active = Number(row.dataset.at);
    if (event.target.closest('.pick') || event.ctrlKey || event.metaKey) return pick();
    // Drawing the list replaces the row.
    const id = row.querySelector('[data-trial]').dataset.trial;
    draw();
    opened(id);
  });
  $('filter').addEventListener('submit', (event) => event.preventDefault());
  const set = (name, value) => {
    view[name] = value;
    reset();
    changed();
  };
  let timer;
  $('filter-q').addEventListener('input', (event) => {
    clearTimeout(timer);
    timer = setTimeout(() => set('q', event.target.value.trim()), 200);
  });
  $('filter-arm').addEventListener('change', (event) => set('arm', event.target.value));
  $('filter-state').addEventListener('change', (event) => set('state', event.target.value));
  $('filter-sort').addEventListener('change', (event) => {
    view.descending = ['metric', 'started', 'seconds'].includes(event.target.value);
    set('sort', event.target.value);
  });
  head.addEventListener('click', (event) => {
    const key = event.target.closest('button')?.dataset.sort;
    if (key === undefined) return;
    view.descending =
      view.sort === key ? !view.descending : ['metric', 'started', 'seconds'].includes(key);
    set('sort', key);
    $('list').querySelector(`.head [data-sort="${key}"]`)?.focus();
  });
}

function headings(metric) {
  head.replaceChildren(
    ...COLUMNS.map(([key, name]) => {
      const text = key === 'metric' ? metric : name;
      const sorted = key !== null && view.sort === key && (key !== '' || view.descending);
      const arrow = sorted ? (view.descending ? ' ↓' : ' ↑') : '';
      const sort = sorted
        ? view.descending
          ? 'descending'
          : 'ascending'
        : key === null
          ? null
          : 'none';
      return el(
        'span',
        {
          role: 'columnheader',
          'aria-sort': sort,
          title: text,
          'aria-label': text ? null : 'Selected',
        },
        key === null
          ? text
          : el(
              'button',
              { type: 'button', 'data-sort': key, 'data-key': `sort-${key}` },
              text + arrow,
            ),
      );
    }),
  );
}

/** Shows the view for a version of the sweep. Old rows stay until the new ones have arrived. */
export async function showTrials(data, now) {
  options(
    $('filter-arm'),
    [['', 'all'], ...data.arms.map((arm) => [arm.name, arm.label])],
    view.arm,
  );
  const names = [...new Set(data.arms.flatMap((arm) => arm.searched))];
  options(
    $('filter-sort'),
    [
      ['', 'plan order'],
      ['metric', data.sweep.metric],
      ['started', 'start'],
      ['seconds', 'duration'],
      ['state', 'state'],
      ['arm', 'arm'],
      ['seed', 'seed'],
      ...names.map((name) => [`param:${name}`, name]),
    ],
    view.sort,
  );
  if (head.children.length === 0 || version === -1) headings(data.sweep.metric);
  if (now === version) return draw();
  version = now;
  generation += 1;
  pending = new Set();
  const visible = range();
  const first = Math.floor(visible[0] / PAGE),
    last = Math.floor(visible[1] / PAGE);
  const old = pages;
  pages = new Map();
  const fetched = [];
  for (let page = first; page <= last; page += 1) fetched.push(load(page));
  await Promise.all(fetched);
  await released();
  for (const [page, rows] of old)
    if (
      !pages.has(page) &&
      page >= first - 1 &&
      page <= last + 1 &&
      total > page * PAGE &&
      version === now
    )
      pages.set(page, rows);
  draw();
}

async function load(page) {
  if (pending.has(page)) return;
  pending.add(page);
  const mine = generation;
  const answer = await ask('api/trials', {
    ...view,
    descending: view.descending || '',
    from: page * PAGE,
    count: PAGE,
  });
  if (mine !== generation) return;
  pages.set(page, answer.rows);
  total = answer.total;
  unknown = answer.unknown;
  active = Math.max(0, Math.min(active, total - 1));
}

function range() {
  const list = $('list');
  const from = Math.max(0, Math.floor(list.scrollTop / height) - 5);
  return [from, from + Math.ceil(list.clientHeight / height) + 10];
}

/** Draws once with the next frame, even if called several times. */
function redraw() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    draw();
  });
}

function draw() {
  const list = $('list');
  if (list.offsetParent === null) return;
  height = head.offsetHeight || height;
  list.setAttribute('aria-rowcount', total + 1);
  $('filter-count').textContent = plural(total, 'trial');
  body.style.height = `${total * height}px`;
  const [from, to] = range();
  const rows = [],
    missing = new Set();
  for (let at = from; at <= Math.min(to, total - 1); at += 1) {
    const trial = pages.get(Math.floor(at / PAGE))?.[at % PAGE];
    if (trial) rows.push(row(trial, at));
    else missing.add(Math.floor(at / PAGE));
  }
  // Each page is requested once, and drawn once when it arrives: a slow server must not keep the
  // browser busy.
  for (const page of missing)
    if (!pending.has(page))
      load(page)
        .then(redraw)
        .catch(() => {});
  if (total === 0) rows.push(el('p', { class: 'empty faint' }, `No trial matches${reason()}.`));
  place(rows);
  const shown =
    total > 0 &&
    pages.get(Math.floor(active / PAGE))?.[active % PAGE] &&
    active >= from &&
    active <= to;
  if (shown) list.setAttribute('aria-activedescendant', `row-${active}`);
  else list.removeAttribute('aria-activedescendant');
}

/** The rows in the list, by what they were drawn from. */
let drawn = new Map();

/**
 * Puts rows into the list. Rows that are already there stay untouched, so that a click on one is
 * not lost.
 */
function place(rows) {
  const wanted = new Set(rows);
  for (const old of [...body.children]) if (!wanted.has(old)) old.remove();
  rows.forEach((line, at) => {
    if (body.children[at] !== line) body.insertBefore(line, body.children[at] ?? null);
  });
  drawn = new Map(rows.filter((line) => line.drawnFrom).map((line) => [line.drawnFrom, line]));
}

function row(trial, at) {
  const drawnFrom = JSON.stringify([trial, at, at === active, isChosen(trial.trial), height]);
  const line = drawn.get(drawnFrom) ?? newRow(trial, at);
  line.drawnFrom = drawnFrom;
  return line;
}

function newRow(trial, at) {
  const state = trial.state === 'failed' && trial.kind ? trial.kind : trial.state;
  const picked = isChosen(trial.trial);
  const cells = [
    el(
      'span',
      {
        class: 'pick',
        title: 'Compare',
        'aria-label': picked ? 'selected' : 'not selected',
        role: 'img',
      },
      picked ? '☑' : '☐',
    ),
    el('span', { class: 'id', 'data-trial': trial.trial }, trial.trial),
    trial.arm,
    trial.values,
    count(trial.seed),
    trial.phase,
    el('span', { class: `state-${trial.state}` }, state),
    figure(trial.metric),
    duration(trial.seconds),
    clock(trial.started),
  ];
  const line = el(
    'div',
    {
      class: `row${at === active ? ' active' : ''}${picked ? ' chosen' : ''}`,
      role: 'row',
      id: `row-${at}`,
      'data-at': at,
      'aria-rowindex': at + 2,
      'aria-selected': picked ? 'true' : 'false',
    },
    cells.map((cell) =>
      el('span', { role: 'gridcell', title: typeof cell === 'string' ? cell : null }, cell),
    ),
  );
  line.style.top = `${at * height}px`;
  return line;
}

/** Selects the active trial for comparison, or deselects it. */
function pick() {
  const id = body.querySelector(`#row-${active} [data-trial]`)?.dataset.trial;
  if (!id) return;
  choose(id);
  draw();
  told();
}

function keys(event) {
  if (event.target !== $('list')) return;
  const list = $('list'),
    jump = Math.max(1, Math.floor(list.clientHeight / height) - 2);
  const steps = {
    ArrowDown: 1,
    ArrowUp: -1,
    PageDown: jump,
    PageUp: -jump,
    Home: -total,
    End: total,
  };
  if (event.key === 'Enter') {
    const id = body.querySelector(`#row-${active} [data-trial]`)?.dataset.trial;
    if (id) opened(id);
  } else if (event.key === ' ') {
    pick();
  } else if (event.key in steps) {
    active = Math.max(0, Math.min(total - 1, active + steps[event.key]));
    const top = active * height;
    if (top < list.scrollTop) list.scrollTop = top;
    if (top + 2 * height > list.scrollTop + list.clientHeight)
      list.scrollTop = top + 2 * height - list.clientHeight;
    draw();
  } else return;
  event.preventDefault();
}
