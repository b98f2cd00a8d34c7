// Compares the trials that were selected in the list: their curves in one plot, and the same
// numbers as a table.
import { $, colour, el, figure, options, plural, replace, svg, table, trialButton } from './dom.js';
import { ask } from './server.js';
import { lineChart } from './charts.js';

/** Maximum number of trials: more lines cannot be told apart. */
const MAX_SELECTED = 8;
/** Dashes that tell lines apart without colours. */
const DASHES = [null, '7 4', '2 3', '10 3 2 3', '14 4', '4 2', '1 4', '12 3 2 3 2 3'];
/** Maximum number of rows of the table. */
const MAX_ROWS = 25;

let list = [];

export const chosen = () => list;
export const isChosen = (id) => list.includes(id);

/** Reads the selection from the address. */
export function setChosen(text) {
  list = [...new Set((text ?? '').split(',').filter(Boolean))].slice(0, MAX_SELECTED);
  show();
}

/** Selects a trial, or deselects it. */
export function choose(id) {
  if (isChosen(id)) list = list.filter((one) => one !== id);
  else if (list.length < MAX_SELECTED) list = [...list, id];
  else return say(`At most ${MAX_SELECTED} trials can be compared.`);
  say(`${plural(list.length, 'trial')} selected.`);
  show();
}

function say(words) {
  $('announce').textContent = words;
}

/**
 * Shows the size of the selection above the list, and puts the selection into the links to both
 * views.
 */
function show() {
  $('chosen').hidden = list.length === 0;
  $('chosen-count').textContent = `${plural(list.length, 'trial')} selected`;
  const query = list.length ? `?chosen=${encodeURIComponent(list.join(','))}` : '';
  const lead = (link, view) => link.setAttribute('href', `#${view}${query}`);
  for (const view of ['trials', 'curves'])
    lead(document.querySelector(`nav a[data-view="${view}"]`), view);
  lead($('compare'), 'curves');
  lead($('compared-back'), 'trials');
}

const dashed = (at) => DASHES[at % DASHES.length];

function sample(at) {
  const line = svg(
    'svg',
    { class: 'sample', viewBox: '0 0 30 8', 'aria-hidden': 'true' },
    svg('line', { x1: 0, x2: 30, y1: 4, y2: 4, 'stroke-dasharray': dashed(at) }),
  );
  line.style.color = colour(at);
  return line;
}

/** Thins epochs evenly; the first and the last one stay. */
function some(epochs) {
  const step = Math.max(1, Math.ceil((epochs.length - 1) / (MAX_ROWS - 1)));
  return epochs.filter((_, at) => at % step === 0 || at === epochs.length - 1);
}

const metricNow = { name: '' };

/** Shows the view: the curves of the selected trials. */
export async function showCompared() {
  const answer = await ask('api/compare', { trials: list.join(','), metric: metricNow.name });
  options(
    $('curve-metric'),
    answer.metrics.map((name) => [name, name]),
    answer.metric,
  );
  const number = (value) => (typeof value === 'number' ? value : null);
  const trials = answer.trials.map((one) => ({
    ...one,
    at: list.indexOf(one.trial),
    values: one.history.metrics[0]?.[1] ?? [],
  }));
  const series = trials
    .map((one) => ({
      label: one.label,
      colour: colour(one.at),
      dash: dashed(one.at),
      x: one.history.epochs,
      y: one.values.map(number),
    }))
    .filter((one) => one.y.length);
  const legend = trials.map((one) =>
    el(
      'li',
      {},
      sample(one.at),
      `${one.label} `,
      trialButton(one.trial),
      one.state === 'done' ? '' : el('span', { class: 'faint' }, ` ${one.state}`),
      el(
        'button',
        {
          type: 'button',
          class: 'drop',
          'data-drop': one.trial,
          'data-key': `drop-${one.trial}`,
          'aria-label': `Remove ${one.label}`,
          title: 'Remove',
        },
        '×',
      ),
    ),
  );
  const epochs = some(
    [...new Set(trials.flatMap((one) => one.history.epochs))].sort((a, b) => a - b),
  );
  const cell = (one, epoch) => {
    const at = one.history.epochs.indexOf(epoch);
    return at < 0 ? '' : figure(one.values[at]);
  };
  const rows = epochs.map((epoch) => [String(epoch), ...trials.map((one) => cell(one, epoch))]);
  rows.push(['final', ...trials.map((one) => figure(one.last))]);
  const caption = `${answer.metric} of each selected trial by ${answer.unit}`;
  const common = answer.common
    .map(([name, value]) => (name === 'arm' ? value : `${name}=${value}`))
    .join(' ');
  replace(
    $('curve-chart'),
    answer.unknown.length
      ? el('p', { class: 'notice bad' }, `Not in this sweep: ${answer.unknown.join(', ')}.`)
      : '',
    common && trials.length > 1 ? el('p', { class: 'faint' }, `All trials: ${common}`) : '',
    el('ul', { class: 'legend compared', 'aria-label': 'Selected trials' }, legend),
    lineChart(series, { xLabel: answer.unit, yLabel: answer.metric, log: $('curve-log').checked }),
    el(
      'div',
      { class: 'wide' },
      table([answer.unit === 'step' ? 'Step' : 'Epoch', ...trials.map((one) => one.label)], rows, {
        caption,
        figures: trials.map((_, at) => at + 1),
      }),
    ),
  );
}

/**
 * Listens to the controls. `changed` stores the selection in the address and draws the view again.
 */
export function listenCompared(changed) {
  $('curve-metric').addEventListener('change', (event) => {
    metricNow.name = event.target.value;
  });
  $('curve-chart').addEventListener('click', (event) => {
    const id = event.target.closest('[data-drop]')?.dataset.drop;
    if (id) {
      choose(id);
      changed();
    }
  });
  for (const button of ['chosen-clear', 'compared-clear'])
    $(button).addEventListener('click', () => {
      list = [];
      say('Selection cleared.');
      show();
      changed();
    });
}
