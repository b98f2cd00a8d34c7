// Curves, sensitivity and heat maps: drawn as SVG and as tables from the server's numbers.
import { $, colour, count, el, figure, options, plural, replace, svg, swatch } from './dom.js';
import { ask } from './server.js';

const WIDTH = 720,
  HEIGHT = 320,
  LEFT = 62,
  RIGHT = 12,
  TOP = 10,
  BOTTOM = 40;
/** Size of the small charts, which stand side by side. */
const SMALL_WIDTH = 400,
  SMALL_HEIGHT = 230;

/** Returns round numbers that span a range. */
function ticks(low, high, most = 6) {
  if (!(high > low)) return [low];
  const rough = (high - low) / most,
    power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough);
  const list = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-9; at += step)
    list.push(Math.abs(at) < step * 1e-9 ? 0 : at);
  return list;
}

function scale(values, begin, end, log) {
  let [low, high] = [Math.min(...values), Math.max(...values)];
  if (log) [low, high] = [Math.log10(low), Math.log10(high)];
  if (low === high) [low, high] = [low - 0.5, high + 0.5];
  const margin = (high - low) * 0.04;
  const of = (value) =>
    begin +
    (((log ? Math.log10(value) : value) - low + margin) / (high - low + 2 * margin)) *
      (end - begin);
  const marks = log
    ? ticks(low, high, 5)
        .filter(Number.isInteger)
        .map((power) => 10 ** power)
    : ticks(low, high);
  return { of, ticks: marks.length ? marks : [10 ** low, 10 ** high] };
}

/** Returns the path of a line; a missing value leaves a gap. */
function path(xs, ys) {
  let pen = 'M';
  return xs
    .map((x, at) => {
      if (ys[at] === null || !Number.isFinite(ys[at])) {
        pen = 'M';
        return '';
      }
      const step = `${pen}${x.toFixed(1)} ${ys[at].toFixed(1)}`;
      pen = 'L';
      return step;
    })
    .join('');
}

function axes(x, y, xLabel, yLabel, width = WIDTH, height = HEIGHT) {
  const marks = y.ticks.map((value) => [
    svg('line', { class: 'grid', x1: LEFT, x2: width - RIGHT, y1: y.of(value), y2: y.of(value) }),
    svg('text', { x: LEFT - 7, y: y.of(value) + 4, 'text-anchor': 'end' }, figure(value)),
  ]);
  const below = x.ticks.map((value) =>
    svg(
      'text',
      { x: x.of(value), y: height - BOTTOM + 16, 'text-anchor': 'middle' },
      x.names ? x.names[value] : figure(value),
    ),
  );
  return [
    ...marks.flat(),
    ...below,
    svg('text', { x: (LEFT + width - RIGHT) / 2, y: height - 6, 'text-anchor': 'middle' }, xLabel),
    svg(
      'text',
      {
        x: 14,
        y: (TOP + height - BOTTOM) / 2,
        'text-anchor': 'middle',
        transform: `rotate(-90 14 ${(TOP + height - BOTTOM) / 2})`,
      },
      yLabel,
    ),
  ];
}

/** Lines with bands. A series: {label, colour, x, y, spread, thin, dash}. */
export function lineChart(series, { xLabel, yLabel, log = false }) {
  const ok = (value) => value !== null && Number.isFinite(value) && (!log || value > 0);
  const ys = series.flatMap((one) =>
    one.y.flatMap((y, at) => {
      const spread = one.spread?.[at];
      return [y, ...(spread ? [y - spread, y + spread] : [])].filter(ok);
    }),
  );
  const xs = series.flatMap((one) => one.x);
  if (!ys.length) return el('p', { class: 'faint' }, 'No data yet.');
  const x = scale(xs, LEFT, WIDTH - RIGHT, false),
    y = scale(ys, HEIGHT - BOTTOM, TOP, log);
  x.ticks = x.ticks.filter(Number.isInteger);
  const draw = (one) => {
    const at = one.x.map(x.of),
      to = (values) => values.map((value) => (ok(value) ? y.of(value) : null));
    const lower =
      one.spread &&
      to(
        one.y.map((value, k) =>
          one.spread[k] === null || value === null
            ? null
            : log
              ? Math.max(value - one.spread[k], 10 ** -30)
              : value - one.spread[k],
        ),
      );
    const upper =
      one.spread &&
      to(
        one.y.map((value, k) =>
          one.spread[k] === null || value === null ? null : value + one.spread[k],
        ),
      );
    const ends = one.spread
      ? at.map((_, k) => k).filter((k) => lower[k] !== null && upper[k] !== null)
      : [];
    const clamp = (value) => Math.min(Math.max(value, TOP), HEIGHT - BOTTOM);
    const band =
      ends.length > 1 &&
      `M${ends.map((k) => `${at[k].toFixed(1)} ${clamp(upper[k]).toFixed(1)}`).join('L')}L${ends
        .reverse()
        .map((k) => `${at[k].toFixed(1)} ${clamp(lower[k]).toFixed(1)}`)
        .join('L')}Z`;
    const group = svg(
      'g',
      {},
      band ? svg('path', { class: 'band', d: band }) : null,
      svg('path', {
        class: one.thin ? 'line thin' : 'line',
        d: path(at, to(one.y)),
        'stroke-dasharray': one.dash,
      }),
      one.x.length === 1 && ok(one.y[0])
        ? svg('circle', { class: 'dot', cx: at[0], cy: y.of(one.y[0]), r: 3 })
        : null,
    );
    group.style.color = one.colour;
    return group;
  };
  const cursor = svg('line', {
    class: 'cursor',
    y1: TOP,
    y2: HEIGHT - BOTTOM,
    visibility: 'hidden',
  });
  const readout = el('p', { class: 'readout faint' }, '\u00a0');
  const places = [...new Set(xs)].sort((a, b) => a - b);
  const move = (event) => {
    const box = drawing.getBoundingClientRect();
    const here = ((event.clientX - box.left) / box.width) * WIDTH;
    const nearest = places.reduce((best, place) =>
      Math.abs(x.of(place) - here) < Math.abs(x.of(best) - here) ? place : best,
    );
    cursor.removeAttribute('visibility');
    cursor.setAttribute('x1', x.of(nearest));
    cursor.setAttribute('x2', x.of(nearest));
    const parts = series
      .filter((one) => !one.thin || series.length < 8)
      .map((one) => [one, one.x.indexOf(nearest)])
      .filter(([one, at]) => at >= 0 && one.y[at] !== null);
    readout.textContent = `${xLabel} ${nearest}: ${parts.map(([one, at]) => `${one.label} ${figure(one.y[at])}${one.spread?.[at] ? ` ± ${figure(one.spread[at])}` : ''}`).join(' · ')}`;
  };
  const drawing = svg(
    'svg',
    {
      class: 'chart',
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      role: 'img',
      'aria-label': `${yLabel} by ${xLabel}: ${series.map((one) => `${one.label}, last ${figure(one.y.at(-1))}`).join('; ')}`,
      onpointermove: move,
    },
    axes(x, y, xLabel, yLabel),
    series.map(draw),
    cursor,
  );
  return el('figure', {}, drawing, readout);
}

const curvesNow = { metric: '' };

/** Shows the view of learning curves. */
export async function showCurves() {
  const answer = await ask('api/curves', { metric: curvesNow.metric });
  options(
    $('curve-metric'),
    answer.metrics.map((name) => [name, name]),
    answer.metric,
  );
  const log = $('curve-log').checked,
    withRunning = $('curve-running').checked;
  const series = answer.arms.map((arm) => ({
    label: arm.label,
    colour: colour(arm.arm),
    x: arm.epochs,
    y: arm.mean,
    spread: arm.std,
  }));
  const running = withRunning ? answer.running.filter((one) => one.history.metrics.length) : [];
  series.push(
    ...running.map((one) => ({
      label: one.label,
      colour: colour(one.arm),
      x: one.history.epochs,
      y: one.history.metrics[0][1].map((v) => (typeof v === 'number' ? v : null)),
      thin: true,
    })),
  );
  const legend = answer.arms.map((arm) =>
    el(
      'li',
      {},
      swatch(arm.arm),
      `${arm.label} ${arm.values} (${plural(arm.seeds, `${answer.phase} seed`)})`,
    ),
  );
  if (running.length)
    legend.push(el('li', { class: 'faint' }, `dashed: ${plural(running.length, 'running trial')}`));
  const what = answer.phase === 'final' ? 'final' : 'tuning';
  replace(
    $('curve-chart'),
    el('ul', { class: 'legend' }, legend),
    lineChart(series, { xLabel: answer.unit, yLabel: answer.metric, log }),
    el(
      'p',
      { class: 'faint' },
      `Selected points: mean (line) ± one standard deviation (band) over the finished ${what} seeds.`,
    ),
  );
}

/**
 * Draws one parameter: mean ± std over all other hyper-parameters, and the values with the others
 * fixed at the selected point.
 */
function sensitivityChart(parameter, metric) {
  const means = parameter.marginal,
    slice = parameter.slice.map((value) => (typeof value === 'number' ? value : null));
  const order = parameter.numbers
    ? parameter.numbers
        .map((_, at) => at)
        .sort((a, b) => parameter.numbers[a] - parameter.numbers[b])
    : parameter.values.map((_, at) => at);
  const values = [
    ...means.flatMap((one) =>
      one.mean === null ? [] : [one.mean - (one.std ?? 0), one.mean + (one.std ?? 0)],
    ),
    ...slice.filter((value) => value !== null),
  ];
  if (!values.length) return el('p', { class: 'faint' }, 'No data yet.');
  const y = scale(values, SMALL_HEIGHT - BOTTOM, TOP, false);
  const step = (SMALL_WIDTH - RIGHT - LEFT) / order.length;
  const short = (text) => (text.length > 9 ? `${text.slice(0, 8)}…` : text);
  const every = Math.ceil(order.length / 8);
  const x = {
    of: (at) => LEFT + step * (at + 0.5),
    ticks: order.map((_, at) => at).filter((at) => at % every === 0),
    names: order.map((place) => short(parameter.values[place])),
  };
  const marks = order.map((place, at) => {
    const { mean, std } = means[place];
    const here = x.of(at);
    const title = svg(
      'title',
      {},
      `${parameter.name} = ${parameter.values[place]}: ${mean === null ? 'no result' : `${figure(mean)}${std === null ? '' : ` ± ${figure(std)}`} over ${plural(means[place].n, 'point')}`}`,
    );
    return svg(
      'g',
      {},
      title,
      mean !== null && std !== null
        ? svg('line', {
            class: 'whisker',
            x1: here,
            x2: here,
            y1: y.of(mean - std),
            y2: y.of(mean + std),
          })
        : null,
      mean !== null ? svg('circle', { class: 'dot', cx: here, cy: y.of(mean), r: 4.5 }) : null,
      slice[place] !== null
        ? svg('rect', {
            class: 'ring',
            x: here + 8,
            y: y.of(slice[place]) - 4.5,
            width: 9,
            height: 9,
          })
        : null,
      parameter.selected === place
        ? svg('path', { class: 'dot', d: `M${here} ${SMALL_HEIGHT - BOTTOM + 1}l-5 -8h10z` })
        : null,
    );
  });
  const group = svg('g', {}, marks);
  group.style.color = colour(0);
  return svg(
    'svg',
    {
      class: 'chart',
      viewBox: `0 0 ${SMALL_WIDTH} ${SMALL_HEIGHT}`,
      role: 'img',
      'aria-label': `${metric} by ${parameter.name}: ${order.map((place) => `${parameter.values[place]}: ${figure(means[place].mean) || 'none'}`).join(', ')}`,
    },
    axes(x, y, parameter.name, metric, SMALL_WIDTH, SMALL_HEIGHT),
    group,
  );
}

/** Draws a heat map as a table, so that every cell can be read. */
function heatMap(answer) {
  const { heat } = answer;
  const [across, down] = [heat.x, heat.y].map((name) =>
    answer.parameters.find((parameter) => parameter.name === name),
  );
  const means = heat.cells
    .flat()
    .filter((cell) => cell && cell.mean !== null)
    .map((cell) => cell.mean)
    .sort((a, b) => a - b);
  if (!means.length) return el('p', { class: 'faint' }, 'No data yet.');
  // A few points that went wrong must not take all the colours.
  const worst = answer.maximize
    ? means[Math.floor(means.length / 10)]
    : means[means.length - 1 - Math.floor(means.length / 10)];
  const best = answer.maximize ? means.at(-1) : means[0];
  const rows = down.values.map((value, row) =>
    el(
      'tr',
      {},
      el('th', { scope: 'row' }, value),
      across.values.map((_, column) => {
        const cell = heat.cells[row][column];
        if (!cell) return el('td', { title: 'not in the grid' });
        if (cell.mean === null) return el('td', { class: 'faint' }, cell.not_finite ? 'NaN' : '–');
        const share =
          best === worst ? 1 : Math.min(1, Math.max(0, (cell.mean - worst) / (best - worst)));
        const box = el(
          'td',
          {
            class: cell.mean === best ? 'best' : null,
            title: `mean over ${plural(cell.n, 'point')}`,
          },
          figure(cell.mean),
        );
        box.style.background = `color-mix(in oklab, var(--high) ${(100 * share).toFixed(0)}%, var(--low))`;
        if (share > 0.5) box.style.color = 'var(--on-high)';
        return box;
      }),
    ),
  );
  const about = `${answer.metric} of ${answer.label}, averaged over the other hyper-parameters. Across: ${heat.x}; down: ${heat.y}. The frame marks the best value.`;
  return el(
    'div',
    {},
    el('p', { class: 'faint' }, about),
    el(
      'table',
      { class: 'heat', 'aria-label': about },
      el(
        'thead',
        {},
        el(
          'tr',
          {},
          el('th', { scope: 'col' }, `${heat.y} \\ ${heat.x}`),
          across.values.map((value) => el('th', { scope: 'col' }, value)),
        ),
      ),
      el('tbody', {}, rows),
    ),
  );
}

const wanted = { arm: '', x: '', y: '' };

/** Shows the view of parameters. */
export async function showParameters(data) {
  options(
    $('parameter-arm'),
    data.arms.map((arm) => [arm.name, arm.label]),
    wanted.arm,
  );
  const answer = await ask('api/parameters', wanted);
  const partial = answer.known - answer.complete;
  $('parameter-note').textContent =
    `${answer.metric} of ${answer.label}: ${count(answer.known)} of ${plural(answer.points, 'point')} have a result${partial ? `, ${partial} of them with missing seeds` : ''}. Dot and bar: mean ± std over all other hyper-parameters. Square: others fixed at the selected values. Triangle: selected value.`;
  const cards = answer.parameters.map((parameter) =>
    el(
      'div',
      { class: 'card' },
      el('h3', {}, parameter.name),
      sensitivityChart(parameter, answer.metric),
    ),
  );
  replace(
    $('sensitivity'),
    cards.length ? cards : el('p', { class: 'faint' }, 'This arm has a single point.'),
  );
  $('heat').hidden = !answer.heat;
  if (!answer.heat) return;
  const names = answer.parameters.map((parameter) => [parameter.name, parameter.name]);
  options($('heat-x'), names, answer.heat.x);
  options(
    $('heat-y'),
    names.filter(([name]) => name !== answer.heat.x),
    answer.heat.y,
  );
  replace($('heat-map'), heatMap(answer));
}

/** Listens to the controls of both views. */
export function listen(again) {
  $('curve-metric').addEventListener('change', (event) => {
    curvesNow.metric = event.target.value;
    again();
  });
  for (const id of ['curve-log', 'curve-running']) $(id).addEventListener('change', again);
  $('parameter-arm').addEventListener('change', (event) => {
    Object.assign(wanted, { arm: event.target.value, x: '', y: '' });
    again();
  });
  $('heat-x').addEventListener('change', (event) => {
    wanted.x = event.target.value;
    again();
  });
  $('heat-y').addEventListener('change', (event) => {
    wanted.x = $('heat-x').value;
    wanted.y = event.target.value;
    again();
  });
}
