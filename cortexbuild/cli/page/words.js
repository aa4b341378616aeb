// Elements, numbers and states as words. Text goes in as text: nothing here parses HTML.
const SVG = 'http:' + '//www.w3.org/2000/svg';

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  return fillIn(node, attributes, children);
}

function draw(tag, attributes = {}, ...children) {
  return fillIn(document.createElementNS(SVG, tag), attributes, children);
}

function fillIn(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ''));
  return node;
}

const known = (value) => value !== null && value !== undefined;
const count = (number, noun) => `${number} ${noun}${number === 1 ? '' : 's'}`;
const short = (digest) => (digest ? digest.slice(0, 12) : '–');

function size(bytes) {
  if (!known(bytes)) return '–';
  let value = bytes;
  for (const unit of ['B', 'KiB', 'MiB', 'GiB']) {
    if (value < 1024) return unit === 'B' ? `${value} B` : `${value.toFixed(1)} ${unit}`;
    value /= 1024;
  }
  return `${value.toFixed(1)} TiB`;
}

function time(seconds) {
  if (!known(seconds)) return '–';
  if (seconds < 0.1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.round((whole % 3600) / 60)} min`;
}

function number(value, digits = 3) {
  if (!known(value)) return '–';
  if (value !== 0 && Math.abs(value) < 0.001) {
    const [digitsOf, power] = value.toExponential(1).split('e-');
    return `${digitsOf}\u2009×\u200910⁻${[...power].map((digit) => '⁰¹²³⁴⁵⁶⁷⁸⁹'[digit]).join('')}`;
  }
  return Number(value.toPrecision(digits)).toLocaleString('en', { maximumFractionDigits: 6 });
}

const percent = (value) => (known(value) ? `${(value * 100).toFixed(1)} %` : '–');

function moment(text) {
  const when = new Date(text);
  if (!text || Number.isNaN(when.getTime())) return text || '–';
  return `${when.toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

// Each state has a shape of its own, for whoever cannot tell the colours apart.
const STATES = {
  built: ['built', 'made by the last build', 'M8 1.5a6.5 6.5 0 1 0 0 13a6.5 6.5 0 0 0 0-13z M5 8.2l2.1 2.1L11 6.2'],
  cached: ['cached', 'up to date since before the last build', 'M3 8.5l3.4 3.4L13 4.6'],
  failed: ['failed', 'did not succeed', 'M4 4l8 8 M12 4l-8 8'],
  skipped: ['skipped', 'needs a step that failed', 'M3 4l5 4-5 4z M11.5 4v8'],
  'will-run': ['will run', 'the next build makes it', 'M5 3.5l7 4.5-7 4.5z'],
  'may-run': ['may run', 'depends on what a step before it makes',
    'M5.5 6a2.5 2.5 0 1 1 3.6 2.2c-.8.4-1.1.8-1.1 1.8 M8 12.6v.4'],
  fresh: ['up to date', '', 'M3 8.5l3.4 3.4L13 4.6'],
  stale: ['stale', '', 'M8 1.5a6.5 6.5 0 1 0 0 13a6.5 6.5 0 0 0 0-13z M8 4.5V8l2.5 1.5'],
  'not-built': ['not built', '', 'M3.5 8h9'],
  bad: ['not good enough', '', 'M4 4l8 8 M12 4l-8 8'],
};

function state(name, ...more) {
  const [word, , shape] = STATES[name] || [name, '', 'M3.5 8h9'];
  const icon = draw('svg', { viewBox: '0 0 16 16', 'aria-hidden': 'true', fill: 'none',
    stroke: 'currentColor', 'stroke-width': 1.8, 'stroke-linecap': 'round', 'stroke-linejoin': 'round' },
  draw('path', { d: shape }));
  return make('span', { class: `state ${STATES[name] ? name : ''}` }, icon, make('span', {}, word), ...more);
}
