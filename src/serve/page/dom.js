// Small helpers: elements, numbers and times as people read them.
// Text that comes from a sweep goes only into text nodes and attributes, never into markup.

/**
 * An element: `el('td', {class: 'figure'}, 'text', child)`; properties that begin with `on` are
 * listeners.
 */
export function el(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** The same for drawings. */
export function svg(tag, properties = {}, ...children) {
  return fill(document.createElementNS('http://www.w3.org/2000/svg', tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

export const $ = (id) => document.getElementById(id);

/**
 * Replaces the children. The focus stays on the element with the same key; selected text is not
 * replaced.
 */
export function replace(container, ...children) {
  const selection = document.getSelection();
  if (selection && !selection.isCollapsed && container.contains(selection.anchorNode)) return;
  const key = container.contains(document.activeElement) && document.activeElement.dataset.key;
  container.replaceChildren(...children.flat());
  if (key)
    container.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
}

/** A table; cells are texts, elements, or [class, content]. */
export function table(headings, rows, { caption, figures = [] } = {}) {
  const head = headings.map((text, at) =>
    el('th', { scope: 'col', class: figures.includes(at) ? 'figure' : null }, text),
  );
  const body = rows.map((cells) =>
    el(
      'tr',
      { class: cells.class },
      cells.map((cell, at) => {
        const [name, content] = Array.isArray(cell)
          ? cell
          : [figures.includes(at) ? 'figure' : null, cell];
        return at === 0
          ? el('th', { scope: 'row', class: name }, content)
          : el('td', { class: name }, content);
      }),
    ),
  );
  return el(
    'table',
    { 'aria-label': caption },
    el('thead', {}, el('tr', {}, head)),
    el('tbody', {}, body),
  );
}

/** A button that opens a trial. */
export const trialButton = (id, text = id) =>
  el(
    'button',
    { type: 'button', class: 'link id', 'data-trial': id, 'data-key': `trial-${id}` },
    text,
  );

const whole = new Intl.NumberFormat('en');
export const count = (number) => whole.format(number);
export const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? '' : 's'}`;

/** Formats a metric with five significant digits; numbers that are not finite arrive as text. */
export function figure(value) {
  if (value === null || value === undefined) return '';
  if (typeof value !== 'number') return value;
  const size = Math.abs(value);
  if (size !== 0 && (size < 0.001 || size >= 1e6)) return value.toExponential(3);
  return String(size >= 100 ? +value.toFixed(2) : +value.toPrecision(5));
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return '';
  if (seconds < 1) return `${seconds.toFixed(2)} s`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const s = Math.round(seconds);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, '0')} s`;
  if (s < 172800)
    return `${Math.floor(s / 3600)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, '0')} min`;
  return `${(s / 86400).toFixed(1)} days`;
}

export function clock(milliseconds) {
  if (!milliseconds) return '';
  const at = new Date(milliseconds);
  const two = (number) => String(number).padStart(2, '0');
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

export const colour = (arm) => `var(--arm${arm % 8})`;

export function swatch(arm) {
  const mark = el('span', { class: 'swatch', 'aria-hidden': 'true' });
  mark.style.color = colour(arm);
  return mark;
}

/** Sets the options of a select; its value stays if it is still among them. */
export function options(select, list, chosen = select.value) {
  const same =
    select.options.length === list.length &&
    list.every(
      ([value, text], at) => select.options[at].value === value && select.options[at].text === text,
    );
  if (!same) select.replaceChildren(...list.map(([value, text]) => el('option', { value }, text)));
  if (list.some(([value]) => value === chosen)) select.value = chosen;
}

// Nothing is drawn while a mouse button or a finger is down: a click would be lost if its target
// were replaced.
/**
 * How long a pointer counts as down, in milliseconds: browsers do not report the end of every
 * press.
 */
const MAX_HELD = 2000;
let hold = null,
  forget = null;

function letGo() {
  clearTimeout(forget);
  hold?.go();
  hold = null;
}

document.addEventListener(
  'pointerdown',
  () => {
    if (!hold) {
      hold = {};
      hold.over = new Promise((go) => {
        hold.go = go;
      });
    }
    clearTimeout(forget);
    forget = setTimeout(letGo, MAX_HELD);
  },
  { capture: true },
);
// The timeout lets the click that follows happen first.
for (const end of ['pointerup', 'pointercancel'])
  document.addEventListener(end, () => setTimeout(letGo), { capture: true });

/** Whether a mouse button or a finger is down. */
export const isHeld = () => hold !== null;
/** Waits until no mouse button and no finger is down. */
export const released = () => hold?.over ?? Promise.resolve();
