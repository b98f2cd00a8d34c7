// The first view: progress, tables as they fill, leading points, what runs where; and failures by kind.
import { $, clock, count, duration, el, figure, plural, replace, swatch, table, trialButton } from './dom.js';

const SEGMENTS = ['done', 'failed', 'running', 'pruned'];

/** Done, failed, running and pruned trials as parts of a bar, with the same in words. */
function bar(counts, name) {
  const parts = SEGMENTS.filter((what) => counts[what] > 0);
  const words = parts.map((what) => `${count(counts[what])} ${what}`).join(', ') || 'none done';
  const line = el('div', { class: 'bar', role: 'img', 'aria-label': `${name}: ${words} of ${count(counts.planned)}`, title: words });
  for (const what of parts) {
    const part = el('span', { class: what });
    part.style.width = `${(100 * counts[what]) / Math.max(counts.planned, 1)}%`;
    line.append(part);
  }
  return line;
}

const left = (counts) => counts.planned - counts.done - counts.failed - counts.pruned;
const time = (counts) => (left(counts) === 0 ? '' : counts.seconds_left === null ? 'unknown' : `about ${duration(counts.seconds_left)}`);

export const sections = {
  sweep(sweep) {
    document.title = `${sweep.total.planned ? Math.floor((100 * (sweep.total.planned - left(sweep.total))) / sweep.total.planned) : 0} % · ${sweep.name} · pentagrid`;
    $('name').textContent = sweep.name;
    const killed = sweep.state === 'stopped' && sweep.killed;
    $('state').textContent = killed ? 'cut off' : sweep.state;
    $('state').className = `badge ${sweep.state}`;
    $('description').textContent = sweep.description ?? '';
    $('description').hidden = !sweep.description;
    const notice = $('notice');
    notice.hidden = sweep.state !== 'stopped';
    if (sweep.state === 'stopped') {
      notice.replaceChildren(killed ? 'The coordinator was killed; everything recorded is kept. Go on with ' : 'Nobody runs this sweep now. Go on with ', el('code', {}, sweep.resume));
    }
    const { total } = sweep;
    const parts = [el('strong', {}, `${count(total.done)} of ${plural(total.planned, 'trial')} done`)];
    if (total.running) parts.push(el('span', {}, `${count(total.running)} running`));
    if (total.failed) parts.push(el('span', { class: 'bad' }, `${count(total.failed)} failed for good`));
    if (total.diverged) parts.push(el('span', {}, `${count(total.diverged)} diverged`));
    if (total.pruned) parts.push(el('span', {}, `${count(total.pruned)} pruned`));
    if (sweep.per_minute) parts.push(el('span', {}, `${sweep.per_minute.toFixed(1)} trials/min`));
    if (left(total) && total.seconds_left !== null) {
      const until = sweep.state === 'running' ? `, until ${clock(Date.now() + 1000 * total.seconds_left).slice(0, 16)}` : ' once it goes on';
      parts.push(el('span', {}, `about ${duration(total.seconds_left)} left${until}`));
    }
    replace($('total'), bar(total, 'All trials'), el('div', { class: 'figures', 'data-total': total.done }, parts));
  },

  arms(arms, { sweep }) {
    const finals = sweep.final_seeds > 0;
    const headings = ['Arm', 'Tuning', '', 'Time left'];
    if (finals) headings.push('Final', '', 'Time left');
    // What is nowhere takes no room.
    const kinds = ['running', 'diverged', 'failed', 'pruned'].filter((what) => sweep.total[what] > 0);
    headings.push(...kinds.map((what) => what[0].toUpperCase() + what.slice(1)), 'Selected so far');
    const phase = (counts, name) => [bar(counts, name), ['figure', `${count(counts.done)} of ${count(counts.planned)}`], ['line', time(counts)]];
    const rows = arms.map((arm, at) => [
      el('span', {}, swatch(at), arm.label), ...phase(arm.tune, `${arm.label}, tuning`), ...(finals ? phase(arm.final, `${arm.label}, final`) : []),
      ...kinds.map((what) => arm.tune[what] + arm.final[what]).map((number, at) => [`figure${kinds[at] === 'failed' && number ? ' bad' : ''}`, count(number)]),
      ['line', arm.selected ? el('span', { title: arm.selected.why }, arm.selected.values || 'its only point') : arm.not_selected ? el('span', { class: 'bad', title: arm.not_selected }, 'none') : '—'],
    ]);
    const first = finals ? 7 : 4;
    replace($('arms'), table(headings, rows, { caption: 'Progress of each arm', figures: kinds.map((_, at) => first + at) }));
  },

  tables(tables) {
    const cell = (cell) => [`figure${cell.published ? ' published' : ''}`,
      cell.text === null ? '—' : el('span', {}, cell.text, cell.partial ? el('span', { class: 'partial', title: `${cell.partial} of its trials are done` }, cell.partial) : null)];
    const filled = (one) => one.rows.some((row) => row.cells.some((cell) => cell.text !== null && !cell.published));
    // One word about what is not there yet is enough.
    const shown = tables.some(filled) ? tables.filter(filled) : tables.slice(0, 1);
    replace($('tables'), shown.map((one) => (!filled(one) ? el('section', { 'aria-label': one.title }, el('h2', {}, one.title), el('p', { class: 'faint' }, 'It fills as points are selected and their final trials end.')) :
      el('section', { 'aria-label': one.title }, el('h2', {}, one.title), el('p', { class: 'faint' }, one.caption),
        el('div', { class: 'wide' }, table(one.headings, one.rows.map((row) => [row.label, ...row.cells.map(cell)]), { caption: one.caption, figures: one.headings.map((_, at) => at).slice(1) })),
        one.notes.length ? el('ul', { class: 'notes' }, one.notes.map((note) => el('li', {}, note))) : ''))));
  },

  leaders(leaders, { sweep }) {
    replace($('leaders'), leaders.map((arm, at) => {
      const rows = arm.best.map((point) => {
        const row = [
          el('a', { href: `#trials?q=${encodeURIComponent(point.point)}`, 'data-key': `point-${arm.arm}-${point.point}` }, point.values || point.point),
          ['figure', el('span', {}, point.text, point.partial ? el('span', { class: 'partial' }, point.partial) : null)],
          ['line', point.selected ? 'selected' : ''],
        ];
        row.class = point.selected ? 'selected' : null;
        return row;
      });
      const body = rows.length ? table(['Point', sweep.metric, ''], rows, { figures: [1] }) : el('p', { class: 'faint' }, 'No result yet.');
      return el('div', { class: 'card' }, el('h3', {}, swatch(at), `${arm.label} `, el('span', { class: 'faint' }, `${plural(arm.points, 'point')} with a result`)), body);
    }));
  },

  running(running, { sweep, arms }) {
    $('running').parentElement.hidden = sweep.state !== 'running';
    if (!running.length) return replace($('running'), el('p', { class: 'faint' }, 'No trial at this moment.'));
    const rows = running.map((trial) => [
      trialButton(trial.trial),
      ['line', el('span', {}, swatch(arms.findIndex((arm) => arm.label === trial.label)), `${trial.label} ${trial.values}`)],
      String(trial.seed), trial.phase,
      ['line', trial.epoch !== null ? `${trial.epoch}${trial.epochs ? ` of ${trial.epochs}` : ''}` : trial.step !== null ? `step ${trial.step}` : 'first'],
      figure(trial.metric),
      el('time', { 'data-since': trial.started }),
      ['line', trial.slot === null ? '' : `${trial.slot}: ${trial.device}`],
    ]);
    replace($('running'), table(['Trial', 'What', 'Seed', 'Phase', 'Epoch', sweep.metric, 'For', 'Slot'], rows, { figures: [2, 5, 6] }));
    tick();
  },

  devices(devices) {
    const rows = devices.map((slot) => [
      `${slot.slot}: ${slot.place}`, ['line', slot.device ?? '—'], count(slot.done), slot.done ? duration(slot.seconds / slot.done) : '',
      el('span', {}, slot.trials.length ? slot.trials.slice(0, 4).flatMap((id) => [trialButton(id), ' ']) : 'idle', slot.trials.length > 4 ? `and ${slot.trials.length - 4} more` : ''),
    ]);
    replace($('devices'), table(['Slot', 'Device', 'Trials done', 'Mean time', 'Runs'], rows, { figures: [2, 3] }));
  },

  failures(failures) {
    const total = failures.reduce((sum, one) => sum + one.for_good, 0);
    $('failure-count').hidden = total === 0;
    $('failure-count').textContent = count(total);
    if (!failures.length) return replace($('failure-list'), el('p', { class: 'faint' }, 'No trial has failed.'));
    const rows = failures.map((one) => [
      el('a', { href: `#trials?q=${encodeURIComponent(`kind=${one.kind}`)}`, 'data-key': `kind-${one.kind}` }, one.name),
      count(one.for_good), count(one.again), el('span', {}, one.message), el('span', {}, one.examples.flatMap((id) => [trialButton(id), ' '])),
    ]);
    replace($('failure-list'), table(['Kind', 'For good', 'To be tried again', 'What was said', 'Trials'], rows, { figures: [1, 2] }));
  },

  trouble(trouble) {
    $('trouble').hidden = !trouble;
    $('trouble').textContent = trouble ? `The ledger cannot be read just now; what is shown may be old: ${trouble}` : '';
  },
};

/** Times that pass without news. */
export function tick() {
  for (const time of document.querySelectorAll('[data-since]')) {
    time.textContent = duration(Math.max(0, (Date.now() - Number(time.dataset.since)) / 1000));
  }
}
