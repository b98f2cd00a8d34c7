// Drives a headless Chromium by its DevTools protocol over a pipe: no package is needed, and no port.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Nothing takes so long: only a test that hangs meets it. */
const PATIENCE = 120_000;

export class Browser {
  /** Starts the browser that `CHROMIUM` names. */
  static async start() {
    const browser = new Browser();
    browser.profile = mkdtempSync(join(tmpdir(), 'pentagrid-chromium-'));
    const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run', '--remote-debugging-pipe', `--user-data-dir=${browser.profile}`, 'about:blank'];
    browser.process = spawn(process.env.CHROMIUM ?? 'chromium', flags, { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
    browser.next = 1;
    browser.waiting = new Map();
    browser.errors = [];
    browser.requests = [];
    let rest = '';
    browser.process.stdio[4].on('data', (bytes) => {
      const messages = (rest + bytes).split('\0');
      rest = messages.pop();
      for (const message of messages) browser.receive(JSON.parse(message));
    });
    const { targetInfos } = await browser.send('Target.getTargets');
    const { targetId } = targetInfos.find((target) => target.type === 'page');
    browser.session = (await browser.send('Target.attachToTarget', { targetId, flatten: true })).sessionId;
    for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await browser.send(`${domain}.enable`);
    await browser.size(1280, 900);
    return browser;
  }

  receive(message) {
    if (message.id) {
      const { resolve, reject } = this.waiting.get(message.id);
      this.waiting.delete(message.id);
      return message.error ? reject(new Error(message.error.message)) : resolve(message.result);
    }
    const { method, params } = message;
    if (method === 'Runtime.exceptionThrown') this.errors.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
    if (method === 'Runtime.consoleAPICalled' && ['error', 'warning'].includes(params.type)) this.errors.push(params.args.map((one) => one.value ?? one.description).join(' '));
    if (method === 'Log.entryAdded' && ['error', 'warning'].includes(params.entry.level)) this.errors.push(`${params.entry.text} ${params.entry.url ?? ''}`);
    if (method === 'Network.requestWillBeSent') this.requests.push(params.request.url);
  }

  send(method, params = {}) {
    const id = this.next++;
    const session = this.session && !method.startsWith('Target.') ? { sessionId: this.session } : {};
    this.process.stdio[3].write(`${JSON.stringify({ id, method, params, ...session })}\0`);
    return new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
  }

  /** The value of an expression in the page. */
  async eval(expression) {
    const { result, exceptionDetails } = await this.send('Runtime.evaluate', { expression, returnByValue: true, awaitPromise: true });
    if (exceptionDetails) throw new Error(`${expression}: ${exceptionDetails.exception?.description ?? exceptionDetails.text}`);
    return result.value;
  }

  /** Waits until an expression is true, and gives its value. */
  async until(expression) {
    const began = Date.now();
    for (;;) {
      const value = await this.eval(expression);
      if (value) return value;
      if (Date.now() - began > PATIENCE) throw new Error(`waited too long: ${expression}\n${await this.eval('document.body.innerText')}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Goes to a page, and waits until it is there. */
  async open(url) {
    await this.send('Page.navigate', { url });
    await this.until("document.readyState === 'complete'");
  }

  size(width, height) { return this.send('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: false }); }

  scheme(value) { return this.send('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value }] }); }

  /** A key as a person presses it. */
  async key(key, code = key) {
    const numbers = { Enter: 13, Escape: 27, Tab: 9, ArrowDown: 40, ArrowUp: 38, End: 35, Home: 36 };
    const event = { key, code, windowsVirtualKeyCode: numbers[key], ...(key === 'Enter' ? { text: '\r' } : {}) };
    await this.send('Input.dispatchKeyEvent', { type: 'keyDown', ...event });
    await this.send('Input.dispatchKeyEvent', { type: 'keyUp', ...event });
  }

  /** Text as a person types it into what has the focus. */
  type(text) { return this.send('Input.insertText', { text }); }

  /** The middle of what a selector finds, brought into view. */
  middle(selector) {
    return this.eval(`(() => { const e = document.querySelector(${JSON.stringify(selector)}); e.scrollIntoView({ block: 'center' }); const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()`);
  }

  /** A click in the middle of what a selector finds; something may happen between its press and its release. */
  async click(selector, between = () => {}) {
    const [x, y] = await this.middle(selector);
    await this.send('Input.dispatchMouseEvent', { type: 'mousePressed', x, y, button: 'left', clickCount: 1 });
    await between();
    await this.send('Input.dispatchMouseEvent', { type: 'mouseReleased', x, y, button: 'left', clickCount: 1 });
  }

  /** A tap with a finger in the middle of what a selector finds. */
  async tap(selector) {
    const [x, y] = await this.middle(selector);
    await this.send('Emulation.setTouchEmulationEnabled', { enabled: true });
    await this.send('Input.dispatchTouchEvent', { type: 'touchStart', touchPoints: [{ x, y }] });
    await this.send('Input.dispatchTouchEvent', { type: 'touchEnd', touchPoints: [] });
    await this.send('Emulation.setTouchEmulationEnabled', { enabled: false });
  }

  /** All cookies that the browser holds. */
  async cookies() { return (await this.send('Network.getAllCookies')).cookies; }

  /** A picture, into the folder that `SHOTS` names, if it does. */
  async shot(name, full = false) {
    if (!process.env.SHOTS) return;
    const { data } = await this.send('Page.captureScreenshot', { format: 'png', captureBeyondViewport: full });
    writeFileSync(join(process.env.SHOTS, `${name}.png`), Buffer.from(data, 'base64'));
  }

  async stop() {
    const gone = new Promise((resolve) => this.process.on('exit', resolve));
    this.send('Browser.close').catch(() => {});
    await gone;
    rmSync(this.profile, { recursive: true, force: true, maxRetries: 5 });
  }
}
