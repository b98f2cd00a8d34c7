// The first view: progress, tables, best points, what runs where; and failures by kind.
import {
  $,
  clock,
  count,
  duration,
  el,
  figure,
  plural,
  replace,
  swatch,
  table,
  trialButton,
} from './dom.js';

const SEGMENTS = ['done', 'failed', 'running', 'pruned'];
/** Maximum number of trials that are named for a device. */
const MAX_TRIALS = 4;

/** A bar with parts for done, failed, running and pruned trials; its label has the same as text. */
function bar(counts, name) {
  const parts = SEGMENTS.filter((state) => counts[state] > 0);
  const text = parts.map((state) => `${count(counts[state])} ${state}`).join(', ') || 'none done';
  const line = el('div', {
    class: 'bar',
    role: 'img',
    'aria-label': `${name}: ${text} of ${count(counts.planned)}`,
    title: text,
  });
  for (const state of parts) {
    const part = el('span', { class: state });
    part.style.width = `${(100 * counts[state]) / Math.max(counts.planned, 1)}%`;
    line.append(part);
  }
  return line;
}

const faint = (...children) => el('p', { class: 'faint' }, ...children);
const left = (counts) => counts.planned - counts.done - counts.failed - counts.pruned;

/** The time that is left in a phase, as text. */
function timeLeft(counts) {
  if (left(counts) === 0) return '';
  return counts.seconds_left === null ? 'unknown' : `about ${duration(counts.seconds_left)}`;
}

/** The sweep as a whole: title, state, notice, totals. */
function showSweep(sweep) {
  const { total } = sweep;
  const share = total.planned ? (total.planned - left(total)) / total.planned : 0;
  document.title = `${Math.floor(100 * share)} % · ${sweep.name} · pentagrid`;
  $('name').textContent = sweep.name;
  $('description').textContent = sweep.description ?? '';
  $('description').hidden = !sweep.description;

  const stopped = sweep.state === 'stopped';
  const killed = stopped && sweep.killed;
  $('state').textContent = killed ? 'killed' : sweep.state;
  $('state').className = `badge ${sweep.state}`;
  $('notice').hidden = !stopped;
  if (stopped) {
    const what = killed
      ? 'The coordinator was killed; everything recorded is kept.'
      : 'This sweep is not running.';
    $('notice').replaceChildren(`${what} Resume with `, el('code', {}, sweep.resume));
  }

  replace(
    $('total'),
    bar(total, 'All trials'),
    el('div', { class: 'figures', 'data-total': total.done }, totals(sweep)),
  );
}

/** The counts of the whole sweep; those that are zero are left out. */
function totals(sweep) {
  const { total } = sweep;
  const parts = [
    el('strong', {}, `${count(total.done)} of ${plural(total.planned, 'trial')} done`),
  ];
  for (const state of ['running', 'failed', 'diverged', 'pruned']) {
    const bad = state === 'failed' ? 'bad' : null;
    if (total[state]) parts.push(el('span', { class: bad }, `${count(total[state])} ${state}`));
  }
  if (sweep.per_minute) parts.push(el('span', {}, `${sweep.per_minute.toFixed(1)} trials/min`));
  if (left(total) && total.seconds_left !== null) {
    const until =
      sweep.state === 'running'
        ? `, until ${clock(Date.now() + 1000 * total.seconds_left).slice(0, 16)}`
        : ' once it is resumed';
    parts.push(el('span', {}, `about ${duration(total.seconds_left)} left${until}`));
  }
  return parts;
}

function showArms(arms, { sweep }) {
  const hasFinals = sweep.final_seeds > 0;
  // A column without numbers is left out.
  const states = ['running', 'diverged', 'failed', 'pruned'].filter((state) => sweep.total[state]);
  const headings = ['Arm', 'Tuning', '', 'Time left'];
  if (hasFinals) headings.push('Final', '', 'Time left');
  const firstState = headings.length;
  headings.push(...states.map((state) => state[0].toUpperCase() + state.slice(1)));
  headings.push(sweep.state === 'finished' ? 'Selected' : 'Selected so far');

  const rows = arms.map((arm, at) => [
    el('span', {}, swatch(at), arm.label),
    ...phaseCells(arm.tune, `${arm.label}, tuning`),
    ...(hasFinals ? phaseCells(arm.final, `${arm.label}, final`) : []),
    ...states.map((state) => stateCell(arm, state)),
    ['line', selectedPoint(arm)],
  ]);
  replace(
    $('arms'),
    table(headings, rows, {
      caption: 'Progress of each arm',
      figures: states.map((_, at) => firstState + at),
    }),
  );
}

const phaseCells = (counts, name) => [
  bar(counts, name),
  ['figure', `${count(counts.done)} of ${count(counts.planned)}`],
  ['line', timeLeft(counts)],
];

function stateCell(arm, state) {
  const number = arm.tune[state] + arm.final[state];
  return [state === 'failed' && number ? 'figure bad' : 'figure', count(number)];
}

function selectedPoint(arm) {
  if (arm.selected) {
    return el('span', { title: arm.selected.why }, arm.selected.values || 'its only point');
  }
  return arm.not_selected ? el('span', { class: 'bad', title: arm.not_selected }, 'none') : '—';
}

/** Whether a table has a result that is not a published one. */
const isFilled = (one) =>
  one.rows.some((row) => row.cells.some((cell) => cell.text !== null && !cell.published));

function showTables(tables) {
  // One placeholder is enough.
  const shown = tables.some(isFilled) ? tables.filter(isFilled) : tables.slice(0, 1);
  replace(
    $('tables'),
    shown.map((one) =>
      el(
        'section',
        { 'aria-label': one.title },
        el('h2', {}, one.title),
        isFilled(one)
          ? tableParts(one)
          : faint('Empty until a point is selected and its final trials are done.'),
      ),
    ),
  );
}

/** Caption, cells and notes of a table. */
function tableParts(one) {
  const rows = one.rows.map((row) => [row.label, ...row.cells.map(tableCell)]);
  const figures = one.headings.map((_, at) => at).slice(1);
  const parts = [
    faint(one.caption),
    el('div', { class: 'wide' }, table(one.headings, rows, { caption: one.caption, figures })),
  ];
  if (one.notes.length) {
    const notes = one.notes.map((note) => el('li', {}, note));
    parts.push(el('ul', { class: 'notes' }, notes));
  }
  return parts;
}

function tableCell(cell) {
  const name = cell.published ? 'figure published' : 'figure';
  if (cell.text === null) return [name, '—'];
  const title = `${cell.partial} of its trials are done`;
  const partial = cell.partial && el('span', { class: 'partial', title }, cell.partial);
  return [name, el('span', {}, cell.text, partial)];
}

function showLeaders(leaders, { sweep }) {
  replace(
    $('leaders'),
    leaders.map((arm, at) => {
      const rows = arm.best.map((point) => leaderRow(arm, point));
      const known = el('span', { class: 'faint' }, `${plural(arm.points, 'point')} with a result`);
      return el(
        'div',
        { class: 'card' },
        el('h3', {}, swatch(at), `${arm.label} `, known),
        rows.length
          ? table(['Point', sweep.metric, ''], rows, { figures: [1] })
          : faint('No result yet.'),
      );
    }),
  );
}

function leaderRow(arm, point) {
  const link = {
    href: `#trials?q=${encodeURIComponent(point.point)}`,
    'data-key': `point-${arm.arm}-${point.point}`,
  };
  const partial = point.partial && el('span', { class: 'partial' }, point.partial);
  const row = [
    el('a', link, point.values || point.point),
    ['figure', el('span', {}, point.text, partial)],
    ['line', point.selected ? 'selected' : ''],
  ];
  row.class = point.selected ? 'selected' : null;
  return row;
}

function showRunning(running, { sweep, arms }) {
  $('running').parentElement.hidden = sweep.state !== 'running';
  if (!running.length) return replace($('running'), faint('No trial is running.'));
  const rows = running.map((trial) => {
    const arm = arms.findIndex((arm) => arm.label === trial.label);
    return [
      trialButton(trial.trial),
      ['line', el('span', {}, swatch(arm), `${trial.label} ${trial.values}`)],
      String(trial.seed),
      trial.phase,
      ['line', position(trial)],
      figure(trial.metric),
      el('time', { 'data-since': trial.started }),
      ['line', trial.slot === null ? '' : `${trial.slot}: ${trial.device}`],
    ];
  });
  const headings = [
    'Trial',
    'Configuration',
    'Seed',
    'Phase',
    'Epoch',
    sweep.metric,
    'Running for',
    'Slot',
  ];
  replace($('running'), table(headings, rows, { figures: [2, 5, 6] }));
  tick();
}

/** How far a running trial is. */
function position(trial) {
  if (trial.epoch !== null) {
    return trial.epochs ? `${trial.epoch} of ${trial.epochs}` : String(trial.epoch);
  }
  return trial.step !== null ? `step ${trial.step}` : 'first';
}

function showDevices(devices) {
  const rows = devices.map((slot) => [
    `${slot.slot}: ${slot.place}`,
    ['line', slot.device ?? '—'],
    count(slot.done),
    slot.done ? duration(slot.seconds / slot.done) : '',
    el('span', {}, trialsOn(slot)),
  ]);
  const headings = ['Slot', 'Device', 'Trials done', 'Mean time', 'Current trial'];
  replace($('devices'), table(headings, rows, { figures: [2, 3] }));
}

function trialsOn(slot) {
  if (!slot.trials.length) return ['idle'];
  const shown = slot.trials.slice(0, MAX_TRIALS).flatMap((id) => [trialButton(id), ' ']);
  const more = slot.trials.length - MAX_TRIALS;
  return more > 0 ? [...shown, `and ${more} more`] : shown;
}

function showFailures(failures) {
  const total = failures.reduce((sum, kind) => sum + kind.failed, 0);
  $('failure-count').hidden = total === 0;
  $('failure-count').textContent = count(total);
  if (!failures.length) return replace($('failure-list'), faint('No trial has failed.'));
  const rows = failures.map((kind) => {
    const link = {
      href: `#trials?q=${encodeURIComponent(`kind=${kind.kind}`)}`,
      'data-key': `kind-${kind.kind}`,
    };
    return [
      el('a', link, kind.name),
      count(kind.failed),
      count(kind.to_retry),
      el('span', {}, kind.message),
      el(
        'span',
        {},
        kind.examples.flatMap((id) => [trialButton(id), ' ']),
      ),
    ];
  });
  const headings = ['Kind', 'Failed', 'Will be retried', 'Message', 'Trials'];
  replace($('failure-list'), table(headings, rows, { figures: [1, 2] }));
}

function showTrouble(trouble) {
  $('trouble').hidden = !trouble;
  $('trouble').textContent = trouble
    ? `The ledger cannot be read at the moment; the page may be out of date: ${trouble}`
    : '';
}

/** What shows each section of an update. */
export const sections = {
  sweep: showSweep,
  arms: showArms,
  tables: showTables,
  leaders: showLeaders,
  running: showRunning,
  devices: showDevices,
  failures: showFailures,
  trouble: showTrouble,
};

/** Updates the running times, between two updates from the server. */
export function tick() {
  for (const time of document.querySelectorAll('[data-since]')) {
    const seconds = (Date.now() - Number(time.dataset.since)) / 1000;
    time.textContent = duration(Math.max(0, seconds));
  }
}
