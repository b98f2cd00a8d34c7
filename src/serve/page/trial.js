// One trial in a dialog: parameters, metrics, curve, attempts, the end of its log, how to run it
// again.
import { $, clock, colour, duration, el, figure, options, table, trialButton } from './dom.js';
import { ask } from './server.js';
import { lineChart } from './charts.js';

let shown = null,
  metric = '';

/** Shows a trial; closes the dialog if there is none. */
export async function showTrial(id, data) {
  const dialog = $('trial');
  if (!id) {
    shown = null;
    if (dialog.open) dialog.close();
    return;
  }
  let answer;
  try {
    answer = await ask(`api/trial/${encodeURIComponent(id)}`);
  } catch (error) {
    answer = { trouble: error.message };
  }
  const kept =
    shown === id
      ? [
          dialog.scrollTop,
          document.activeElement?.dataset?.key,
          dialog.querySelector('pre.log')?.scrollTop,
        ]
      : [0, 'close', null];
  shown = id;
  const selection = document.getSelection();
  if (dialog.open && selection && !selection.isCollapsed && dialog.contains(selection.anchorNode))
    return;
  dialog.replaceChildren(...(answer.trouble ? trouble(id, answer.trouble) : parts(answer, data)));
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = kept[0];
  const log = dialog.querySelector('pre.log');
  if (log) log.scrollTop = kept[2] ?? log.scrollHeight;
  dialog
    .querySelector(`[data-key="${CSS.escape(kept[1] ?? 'close')}"]`)
    ?.focus({ preventScroll: true });
}

const close = () =>
  el('button', { type: 'button', 'data-close': true, 'data-key': 'close' }, 'Close');

function trouble(id, what) {
  return [
    el('header', {}, el('h2', { id: 'trial-name' }, id), close()),
    el('p', { class: 'notice bad' }, what),
  ];
}

const pairs = (list) =>
  el(
    'dl',
    {},
    list.flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, String(value))]),
  );

function parts(trial, data) {
  const head = el(
    'header',
    {},
    el('h2', { id: 'trial-name' }, el('span', { class: 'id' }, trial.trial)),
    el(
      'span',
      {},
      `${trial.arm}, seed ${trial.seed}, ${trial.phase === 'final' ? 'final' : 'tuning'}`,
    ),
    el('span', { class: `badge state-${trial.state}` }, trial.state),
    close(),
  );
  const out = [head];
  if (trial.shared) out.push(el('p', { class: 'faint' }, trial.shared));
  out.push(
    el(
      'div',
      { class: 'two' },
      el('div', {}, el('h3', {}, 'Parameters'), pairs(trial.parameters)),
      el(
        'div',
        {},
        el('h3', {}, 'Metrics'),
        trial.metrics.length
          ? pairs(trial.metrics.map(([name, value]) => [name, figure(value)]))
          : el('p', { class: 'faint' }, trial.state === 'failed' ? 'None.' : 'None yet.'),
      ),
    ),
  );
  if (trial.notes.length) out.push(el('h3', {}, 'Notes'), pairs(trial.notes));
  out.push(...curve(trial, data));
  out.push(
    el('h3', {}, 'The same point with other seeds'),
    trial.mean ? el('p', {}, trial.mean) : '',
    el(
      'div',
      { class: 'wide' },
      table(
        ['Trial', 'Seed', 'Phase', 'State', data.sweep.metric],
        trial.siblings.map((one) => [
          one.trial === trial.trial
            ? el('span', { class: 'id' }, one.trial)
            : trialButton(one.trial),
          String(one.seed),
          one.phase,
          [`state-${one.state}`, one.state],
          figure(one.metric),
        ]),
        { figures: [1, 4] },
      ),
    ),
  );
  out.push(
    el('h3', {}, 'Attempts'),
    trial.attempts.length
      ? el(
          'div',
          { class: 'wide' },
          table(
            ['Started', 'Outcome', 'Duration', 'Device', 'Program', 'Message'],
            trial.attempts.map((one) => [
              ['line', clock(Date.parse(one.started))],
              one.outcome,
              ['line', duration(one.seconds)],
              ['line', one.device ?? ''],
              ['line', one.program ?? ''],
              [one.kind, one.message].filter(Boolean).join(': '),
            ]),
          ),
        )
      : el('p', { class: 'faint' }, 'Not started yet.'),
  );
  if (trial.log) {
    out.push(
      el('h3', {}, 'End of the log ', el('span', { class: 'faint id' }, trial.log.file)),
      trial.log.trouble
        ? el('p', { class: 'bad' }, trial.log.trouble)
        : trial.log.text.trim()
          ? el(
              'pre',
              { class: 'log', tabindex: '0', 'aria-label': 'End of the log' },
              trial.log.text.trimEnd(),
            )
          : el('p', { class: 'faint' }, 'The log is empty.'),
    );
  }
  out.push(
    el('h3', {}, 'Run it again'),
    el('pre', { class: 'rerun', tabindex: '0', 'aria-label': 'Command line' }, trial.rerun),
  );
  const copy = el('button', { type: 'button', 'data-key': 'copy' }, 'Copy');
  copy.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(trial.rerun);
      copy.textContent = 'Copied';
    } catch {
      document.getSelection().selectAllChildren(copy.previousElementSibling);
    }
  });
  out.push(copy);
  return out;
}

function curve(trial, data) {
  // A metric that is reported both by epochs and by steps is shown by epochs.
  const parts = [trial.history, trial.by_step].filter((part) => part?.epochs.length);
  if (!parts.length) return [];
  const names = [...new Set(parts.flatMap((part) => part.metrics.map(([name]) => name)))];
  if (!names.includes(metric))
    metric = names.includes(data.sweep.metric) ? data.sweep.metric : names[0];
  const choice = el('select', { 'aria-label': 'Metric of the curve', 'data-key': 'curve-of' });
  const place = el('div', {});
  options(
    choice,
    names.map((name) => [name, name]),
    metric,
  );
  const draw = () => {
    const part = parts.find((one) => one.metrics.some(([name]) => name === metric));
    const values = part.metrics
      .find(([name]) => name === metric)[1]
      .map((value) => (typeof value === 'number' ? value : null));
    const arm = data.arms.findIndex((arm) => arm.label === trial.arm);
    place.replaceChildren(
      lineChart([{ label: metric, colour: colour(Math.max(arm, 0)), x: part.epochs, y: values }], {
        xLabel: part.unit,
        yLabel: metric,
      }),
    );
  };
  choice.addEventListener('change', () => {
    metric = choice.value;
    draw();
  });
  draw();
  return [el('h3', {}, 'History ', choice), place];
}
