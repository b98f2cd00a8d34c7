// The page of `pentagrid serve` in a real browser: a sweep that runs to its end, a crashed one, hostile texts.
// Arguments: the program and the fake worker.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Browser } from './chromium.mjs';

const [program, worker] = process.argv.slice(2);
const dir = mkdtempSync(join(tmpdir(), 'pentagrid-page-'));
const started = [];

function start(...words) {
  const child = spawn(program, words, { cwd: dir, stdio: ['ignore', 'pipe', 'ignore'] });
  started.push(child);
  return child;
}

/** Serves a run directory; gives its URL. */
async function serve(run, ...words) {
  const server = start('serve', run, '--port', '0', ...words);
  return new Promise((resolve, reject) => {
    server.stdout.once('data', (text) => resolve(String(text).trim()));
    server.once('exit', (code) => reject(new Error(`serve ended with ${code}`)));
  });
}

/** The same, as soon as there is something to serve. */
async function served(run) {
  for (;;) {
    try {
      return await serve(run);
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
}

/** Three arms, slow enough to be watched; one has failures, and a label that would be markup. */
const hostile = '<img src=x onerror=alert(1)>';
const spec = `
name: seen
description: "A sweep to look at: ${hostile}"
worker: ["${worker}"]
metric: {name: score, goal: maximize}
seeds: {tune: 3, final: 5}
limits: {retries: 0}
parameters: {epochs: {value: 8}, epoch_ms: {value: 40}}
arms:
  near: {label: Near, parameters: {x: {values: [1, 2, 3, 4]}, y: {values: [0.1, 0.5, 1]}}}
  far: {label: "${hostile}", parameters: {x: {values: [5, 8]}, mode: {values: [plain, "${hostile}"]}}}
  bad: {label: Failing, parameters: {x: {values: [2]}, behaviour: {values: [none, error]}}}
`;
writeFileSync(join(dir, 'sweep.yaml'), spec);
writeFileSync(join(dir, 'slow.yaml'), spec.replace('epoch_ms: {value: 40}', 'epoch_ms: {value: 300}'));

const browser = await Browser.start();
const text = (selector) => browser.eval(`document.querySelector(${JSON.stringify(selector)})?.innerText ?? ''`);
const done = () => browser.eval("Number(document.querySelector('#total .figures')?.dataset.total ?? -1)");
const checks = {
  async 'a running sweep is followed without a reload'() {
    const run = start('run', 'sweep.yaml', '--devices', 'cpu:2', '-q');
    const over = new Promise((resolve) => run.once('exit', resolve));
    await browser.open(await served('runs/seen'));
    await browser.until("document.querySelector('#name').textContent === 'seen'");
    const first = await done();
    await browser.until(`Number(document.querySelector('#total .figures').dataset.total) > ${first}`);
    await browser.until("document.querySelectorAll('#running tbody tr').length > 0 && document.querySelector('#leaders .partial') !== null");
    assert.equal(await text('#state'), 'running');
    await browser.shot('running');
    await browser.eval("location.hash = '#curves'");
    await browser.until("document.querySelectorAll('#curve-chart path.thin').length > 0");
    await browser.shot('running-curves');
    await browser.eval("location.hash = '#overview'");
    assert.equal(await over, 3);
    await browser.until("document.querySelector('#state').textContent === 'finished'");
    assert.equal(await done(), 12 * 3 + 4 * 3 + 3 + 15);
    await browser.until("document.querySelector('#announce').textContent === 'The sweep is finished.'");
    await browser.shot('finished');
  },

  async 'tables say what the report says'() {
    const cells = await browser.eval("[...document.querySelectorAll('#tables tbody tr')].map((row) => row.innerText)");
    assert.ok(cells[0].startsWith('Near'), cells);
    assert.match(cells[0], /\d± \d|\d ± \d/);
    assert.equal(await browser.eval("document.querySelectorAll('#tables .partial').length"), 0);
  },

  async 'trials are filtered, sorted and opened by keyboard'() {
    await browser.click('nav a[href="#trials"]');
    await browser.until("document.querySelector('#filter-count').textContent === '69 trials'");
    await browser.eval("document.querySelector('#filter-q').focus()");
    await browser.type('x=3 y>0.1 seed<2 phase=tune');
    await browser.until("document.querySelector('#filter-count').textContent === '4 trials'");
    await browser.shot('filtered');
    await browser.eval("document.querySelector('#list').focus()");
    await browser.key('ArrowDown');
    assert.equal(await browser.eval("document.querySelector('#list').getAttribute('aria-activedescendant')"), 'row-1');
    const wanted = await text('#row-1 .id');
    await browser.key('Enter');
    await browser.until("document.querySelector('#trial').open");
    assert.equal(await text('#trial-name'), wanted);
    assert.match(await text('#trial'), /Parameters[\s\S]*epochs[\s\S]*Attempts[\s\S]*Run it again/);
    assert.match(await text('#trial .rerun'), new RegExp(`--trial ${wanted}`));
    assert.equal(await browser.eval("document.querySelectorAll('#trial svg.chart').length"), 1);
    await browser.shot('trial');
    // The address brings one back to the same place.
    const address = await browser.eval('location.href');
    await browser.key('Escape');
    await browser.until("!document.querySelector('#trial').open && !location.hash.includes('trial=')");
    await browser.open('about:blank');
    await browser.open(address);
    await browser.until("document.querySelector('#trial').open && document.querySelector('#filter-count').textContent === '4 trials'");
    await browser.click('#trial [data-close]');
    await browser.until("!document.querySelector('#trial').open");
    await browser.eval("location.hash = '#trials?sort=metric&descending=true'");
    await browser.until("document.querySelector('#row-0')?.innerText.includes('Near') && document.querySelector('#filter-count').textContent === '69 trials'");
    const metrics = await browser.eval("[...document.querySelectorAll('#list .body .row')].map((row) => row.children[6].innerText).filter(Boolean).map(Number)");
    assert.deepEqual(metrics, [...metrics].sort((a, b) => b - a));
  },

  async 'a click or a tap on a row opens the trial'() {
    await browser.eval("location.hash = '#trials?q=phase%3Dfinal'");
    await browser.until("document.querySelector('#filter-count').textContent === '15 trials'");
    const opened = async (row, open) => {
      const wanted = await text(`#row-${row} .id`);
      await open();
      await browser.until(`document.querySelector('#trial').open && document.querySelector('#trial-name').innerText === '${wanted}'`);
      assert.ok((await browser.eval('location.hash')).includes(`trial=${wanted}`));
      await browser.key('Escape');
      await browser.until("!document.querySelector('#trial').open");
    };
    await opened(3, () => browser.click('#row-3 .id'));
    await opened(2, () => browser.click('#row-2 [role=gridcell]:nth-child(4)'));
    await opened(4, () => browser.tap('#row-4 [role=gridcell]:nth-child(2)'));
    // The list is drawn again between the press and the release of the button, as when a result comes.
    await opened(1, () => browser.click('#row-1 [role=gridcell]:nth-child(4)', () => browser.eval("document.querySelector('#list').dispatchEvent(new Event('scroll')); new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)))")));
  },

  async 'a slow server does not make the browser busy'() {
    await browser.eval(`(() => {
      const [ask, frame] = [window.fetch, window.requestAnimationFrame];
      window.drawn = 0;
      window.requestAnimationFrame = (draw) => { window.drawn += 1; return frame(draw); };
      window.fetch = async (...words) => { await new Promise((go) => setTimeout(go, 700)); return ask(...words); };
      window.quick = () => Object.assign(window, { fetch: ask, requestAnimationFrame: frame });
    })()`);
    await browser.eval("document.querySelector('#list').focus()");
    await browser.eval("location.hash = '#trials?q=seed%3D1'");
    for (let times = 0; times < 5; times += 1) await browser.key('ArrowDown');
    await browser.until("document.querySelector('#filter-count').textContent === '18 trials'");
    assert.ok(await browser.eval('window.drawn') < 30, 'it draws again and again while it waits');
    await browser.eval('void window.quick()');
  },

  async 'selected trials are compared in one plot, by keyboard and mouse'() {
    await browser.eval("location.hash = '#trials?q=x%3D3+phase%3Dtune'");
    await browser.until("document.querySelector('#filter-count').textContent === '9 trials'");
    assert.equal(await browser.eval("document.querySelector('#chosen').hidden"), true);
    await browser.eval("document.querySelector('#list').focus()");
    await browser.key(' ');
    await browser.key('ArrowDown');
    await browser.key(' ');
    await browser.until("document.querySelector('#chosen-count').textContent === '2 trials selected'");
    await browser.click('#row-4 .pick');
    await browser.until("document.querySelector('#chosen-count').textContent === '3 trials selected'");
    assert.equal(await browser.eval("document.querySelector('#trial').open"), false);
    assert.equal(await browser.eval("document.querySelectorAll('#list .body .row[aria-selected=\"true\"]').length"), 3);
    assert.equal(await text('#announce'), '3 trials selected.');
    await browser.shot('chosen');
    await browser.click('#compare');
    await browser.until("document.querySelectorAll('#curve-chart path.line').length === 3");
    // What differs stands in the legend, and only that; the figures can be read.
    const names = await browser.eval("[...document.querySelectorAll('#curve-chart .compared li')].map((line) => line.innerText)");
    assert.match(names[0], /^y=0\.1 seed=0 /);
    assert.match(names[2], /^y=0\.5 seed=1 /);
    assert.match(await text('#curve-chart'), /All trials: Near[\s\S]*x=3/);
    assert.equal(await browser.eval("document.querySelectorAll('#curve-chart tbody tr').length"), 9);
    const cells = await browser.eval("[...document.querySelector('#curve-chart tbody tr:last-child').cells].map((cell) => cell.innerText)");
    assert.deepEqual([cells[0], cells.length, cells[3]], ['final', 4, '99.75']);
    const dashes = await browser.eval("[...document.querySelectorAll('#curve-chart path.line')].map((line) => line.getAttribute('stroke-dasharray'))");
    assert.equal(new Set(dashes).size, 3);
    await browser.shot('compared');
    await browser.scheme('dark');
    await browser.shot('compared-dark');
    await browser.scheme('light');
    // The address brings one back; one is left out; the choice is cleared; Back undoes that.
    const address = await browser.eval('location.href');
    await browser.open('about:blank');
    await browser.open(address);
    await browser.until("document.querySelectorAll('#curve-chart path.line').length === 3");
    await browser.click('#curve-chart [data-drop]');
    await browser.until("document.querySelectorAll('#curve-chart path.line').length === 2");
    await browser.click('#compared-clear');
    await browser.until("document.querySelectorAll('#curve-chart path.band').length >= 2 && document.querySelector('#compared').hidden");
    await browser.eval('history.back()');
    await browser.until("document.querySelectorAll('#curve-chart path.line').length === 2 && !document.querySelector('#compared').hidden");
    await browser.click('#compared-back');
    await browser.until("document.querySelector('#chosen-count').textContent === '2 trials selected'");
    await browser.click('#chosen-clear');
    await browser.until("document.querySelector('#chosen').hidden && !location.hash.includes('chosen')");
  },

  async 'failures are counted by kind and lead to their trials'() {
    await browser.click('nav a[href="#failures"]');
    await browser.until("document.querySelector('#failure-list tbody') !== null");
    assert.match(await text('#failure-list'), /\t3\t0\t/);
    await browser.shot('failures');
    await browser.click('#failure-list a');
    await browser.until("document.querySelector('#filter-count').textContent === '3 trials'");
  },

  async 'parameters are drawn, and a heat map can be read as a table'() {
    await browser.click('nav a[href="#parameters"]');
    await browser.until("document.querySelectorAll('#sensitivity svg').length === 2 && document.querySelector('#heat-map td.best') !== null");
    assert.equal(await browser.eval("document.querySelectorAll('#heat-map tbody tr').length"), 3);
    await browser.shot('parameters', true);
    await browser.click('nav a[href="#curves"]');
    await browser.until("document.querySelectorAll('#curve-chart path.band').length >= 2");
    await browser.shot('curves');
  },

  async 'texts of a sweep are never markup'() {
    await browser.eval("location.hash = '#overview'");
    await browser.until("!document.querySelector('#view-overview').hidden");
    assert.equal(await browser.eval("document.querySelectorAll('img').length"), 0);
    assert.ok((await text('#arms')).includes(hostile));
    assert.ok((await text('#description')).includes(hostile));
  },

  async 'everything that can be operated has a name'() {
    for (const view of ['overview', 'curves', 'parameters', 'trials', 'failures']) {
      await browser.eval(`location.hash = '#${view}'`);
      await browser.until(`!document.querySelector('#view-${view}').hidden`);
      const { nodes } = await browser.send('Accessibility.getFullAXTree');
      const operated = ['button', 'link', 'combobox', 'searchbox', 'checkbox', 'grid', 'navigation', 'image'];
      const found = nodes.filter((node) => !node.ignored && operated.includes(node.role?.value));
      assert.ok(found.length > 5, view);
      const nameless = found.filter((node) => !node.name?.value);
      assert.deepEqual(nameless.map((node) => node.role.value), [], view);
    }
  },

  async 'it is dark where the system is, and fits a narrow window'() {
    await browser.eval("location.hash = '#overview'");
    const paper = () => browser.eval('getComputedStyle(document.body).backgroundColor');
    await browser.scheme('light');
    const light = await paper();
    await browser.scheme('dark');
    assert.notEqual(await paper(), light);
    await browser.shot('dark');
    await browser.size(390, 800);
    for (const view of ['overview', 'curves', 'parameters', 'trials', 'failures']) {
      await browser.eval(`location.hash = '#${view}'`);
      await browser.until(`!document.querySelector('#view-${view}').hidden`);
      assert.ok(await browser.eval('document.documentElement.scrollWidth <= innerWidth'), `${view} is wider than the window`);
    }
    await browser.eval("location.hash = '#overview'");
    await browser.until("!document.querySelector('#view-overview').hidden");
    await browser.shot('narrow');
    await browser.eval("location.hash = '#trials'");
    await browser.until("!document.querySelector('#view-trials').hidden && document.querySelector('#row-0') !== null");
    await browser.shot('narrow-trials');
    await browser.tap('#row-1 .id');
    await browser.until("document.querySelector('#trial').open");
    await browser.shot('narrow-trial');
    await browser.key('Escape');
    await browser.until("!document.querySelector('#trial').open");
    await browser.size(1280, 900);
    await browser.scheme('light');
  },

  async 'the token is sent to the page\'s own server only'() {
    const url = await serve('runs/seen', '--token');
    const token = url.split('#token=')[1];
    assert.ok(token.length === 32, url);
    await browser.open('about:blank');
    await browser.open(url);
    await browser.until("document.querySelector('#name').textContent === 'seen' && !location.href.includes('token')");
    await browser.eval("location.hash = '#trials'");
    await browser.until("document.querySelector('#filter-count').textContent === '69 trials'");
    const address = await browser.eval('location.href');
    assert.ok(!address.includes(token) && (await browser.eval('document.cookie')) === '' && (await browser.cookies()).length === 0);
    // It holds for this tab, also after a reload, and for no other port.
    await browser.open('about:blank');
    await browser.open(address);
    await browser.until("document.querySelector('#filter-count').textContent === '69 trials'");
    const other = await serve('runs/seen', '--token');
    await browser.open(other.split('#')[0]);
    await browser.until("document.querySelector('#link').textContent.includes('the token is missing or wrong')");
    assert.equal(await text('#name'), 'pentagrid');
    await browser.shot('no-token');
    // The right address in the same tab.
    await browser.eval(`location.hash = '#token=${other.split('#token=')[1]}'`);
    await browser.until("document.querySelector('#name').textContent === 'seen' && !location.href.includes('token')");
    assert.ok(browser.requests.every((request) => !request.replace(/#.*/, '').includes(token)));
  },

  async 'a crashed sweep says so, and how to resume it'() {
    const run = start('run', 'slow.yaml', '--dir', 'runs/crashed', '--devices', 'cpu:2', '-q');
    const over = new Promise((resolve) => run.once('exit', resolve));
    await browser.open(await served('runs/crashed'));
    await browser.until("Number(document.querySelector('#total .figures')?.dataset.total ?? 0) > 0");
    run.kill('SIGKILL');
    await over;
    await browser.until("document.querySelector('#state').textContent === 'killed'");
    assert.match(await text('#notice'), /pentagrid resume runs\/crashed/);
    await browser.shot('crashed');
    started.filter((child) => child.spawnargs.includes('runs/crashed')).forEach((child) => child.kill());
    await browser.until("document.querySelector('#link').textContent.includes('lost')");
  },
};

let failed = 0;
for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
    console.log(`ok      ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}\n${error.stack}`);
  }
}
// A server that was stopped on purpose is missed by the browser: that alone may stand in its log.
// So may a token that was left out on purpose.
const errors = browser.errors.filter((error) => !/status of 401|ERR_(CONNECTION_REFUSED|INCOMPLETE_CHUNKED_ENCODING|CONNECTION_RESET|EMPTY_RESPONSE)/.test(error));
const elsewhere = browser.requests.filter((url) => !/^(http:\/\/127\.0\.0\.1:|about:|data:)/.test(url));
for (const [what, found] of [['errors in the console', errors], ['requests to elsewhere', elsewhere]]) {
  if (found.length) {
    failed += 1;
    console.log(`FAILED  ${what}: ${found.join('\n')}`);
  } else console.log(`ok      no ${what}`);
}
await browser.stop();
for (const child of started) child.kill('SIGKILL');
rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
process.exit(failed ? 1 : 0);
