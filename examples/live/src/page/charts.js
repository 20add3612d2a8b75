/* ---- Charts ---- */

const samples = [];                    // sorted by time
const KEEP = 2400;
const chartMarks = [];
let clockAhead = 0;                    // this page's clock minus the server's
let clockKnown = false;
let cursor = null;                     // the sample that is being read, or null for the latest
let frozen = null;                     // the right edge while paused
let stale = true;                      // something has changed since the last drawing
let span = 120000;

const serverNow = () => Date.now() - clockAhead;

function addSample({ time, load, memory, network }, how) {
  const all = [time, ...load, memory.used, memory.total, network.received, network.sent];
  if (!load.length || !all.every(Number.isFinite)) throw new TypeError('a counter is not a number');
  if (!how) {
    const ahead = Date.now() - time;
    // The quickest delivery tells the clocks apart best; drift may move it slowly.
    clockAhead = !clockKnown || ahead < clockAhead ? ahead : clockAhead + (ahead - clockAhead) * .02;
    clockKnown = true;
  }
  const busiest = load.reduce((best, value, core) => value > load[best] ? core : best, 0);
  const sample = {
    time, how, load, memory, network, busiest,
    mean: load.reduce((sum, value) => sum + value, 0) / load.length,
    most: load[busiest], least: Math.min(...load),
  };
  let at = samples.length;
  while (at > 0 && samples[at - 1].time > time) at -= 1;
  samples.splice(at, 0, sample);
  if (samples.length > KEEP) samples.splice(0, samples.length - KEEP);
  stale = true;
}

const charts = [
  {
    title: 'Processor load', unit: '%', room: '2.75em',
    series: [
      { name: s => s.load.length > 1 ? 'mean' : 'load', label: 'mean', line: 'solid', value: s => s.mean, text: s => percent(s.mean) },
      { name: s => `busiest, core ${s.busiest}`, label: 'busiest', line: 'dashed', value: s => s.most, text: s => percent(s.most), when: s => s.load.length > 1 },
      { name: () => 'idlest', label: 'idlest', line: 'dotted', value: s => s.least, text: s => percent(s.least), when: s => s.load.length > 1 },
    ],
    fill: [1, 2],
    axis: () => ({ top: 100, step: 25, text: percent }),
  },
  {
    title: 'Memory', unit: 'GiB', room: '0',
    series: [{ name: () => 'used', label: 'used', line: 'solid', value: s => s.memory.used, text: s => `${bytes(s.memory.used)} of ${bytes(s.memory.total)}, ${percent(100 * s.memory.used / (s.memory.total || 1))}` }],
    fill: [0],
    axis: seen => {
      const top = Math.max(1, ...seen.map(s => s.memory.total));
      return { top, step: top / 4, text: bytes };
    },
  },
  {
    title: 'Network', unit: 'bytes per second', room: '4.75em',
    series: [
      { name: () => 'received', label: 'received', line: 'solid', value: s => s.network.received, text: s => rate(s.network.received) },
      { name: () => 'sent', label: 'sent', line: 'dashed', value: s => s.network.sent, text: s => rate(s.network.sent) },
    ],
    axis: seen => {
      const most = Math.max(1000, ...seen.map(s => Math.max(s.network.received, s.network.sent)));
      const rough = most * 1.05 / 4, unit = 10 ** Math.floor(Math.log10(rough));
      const step = unit * [1, 2, 2.5, 5, 10].find(n => n * unit >= rough);
      return { top: step * Math.ceil(most * 1.02 / step), step, text: rate };
    },
  },
];
const STYLES = {
  solid: { colour: '--first', dash: [], width: 2, shape: 'circle' },
  dashed: { colour: '--second', dash: [6, 4], width: 2, shape: 'triangle' },
  dotted: { colour: '--third', dash: [1.5, 3.5], width: 2, shape: 'square' },
};
const SHAPES = {
  circle: (pen, x, y) => pen.arc(x, y, 3.5, 0, 7),
  triangle: (pen, x, y) => { pen.moveTo(x, y - 4.5); pen.lineTo(x + 4.5, y + 3.5); pen.lineTo(x - 4.5, y + 3.5); pen.closePath(); },
  square: (pen, x, y) => pen.rect(x - 3, y - 3, 6, 6),
};
const SHAPE_MARKUP = { circle: '<circle cx="14" cy="5" r="3.5"/>', triangle: '<path d="M14 .5l4.5 8h-9z"/>', square: '<rect x="11" y="2" width="6" height="6"/>' };

for (const chart of charts) {
  const figure = make('figure', 'chart'), caption = make('figcaption'), list = make('dl', 'values');
  list.style.setProperty('--room', chart.room);
  for (const line of chart.series) {
    const style = STYLES[line.line], pair = make('div'), term = make('dt');
    // Fixed markup, no text from outside.
    term.innerHTML = `<svg viewBox="0 0 28 10" aria-hidden="true" fill="var(${style.colour})" stroke="var(${style.colour})"><path d="M0 5h28" stroke-width="2" stroke-dasharray="${style.dash.join(' ')}"/><g stroke="none">${SHAPE_MARKUP[style.shape]}</g></svg><span></span>`;
    [line.nameNode, line.valueNode, line.pair] = [term.lastChild, make('dd', '', '–'), pair];
    pair.append(term, line.valueNode);
    list.append(pair);
    setText(line.nameNode, line.label);
  }
  caption.append(make('h3', '', chart.title), list);
  const plot = chart.plot = make('div', 'plot');
  plot.tabIndex = 0;
  plot.setAttribute('role', 'slider');
  plot.setAttribute('aria-label', `${chart.title}, in ${chart.unit}, over time. Arrow keys read earlier values`);
  plot.setAttribute('aria-valuemax', 0);
  plot.setAttribute('aria-valuenow', 0);
  chart.canvas = make('canvas');
  chart.waitNode = make('p', '', 'Waiting for the first reading');
  plot.append(chart.canvas, chart.waitNode);
  figure.append(caption, plot);
  $('charts').append(figure);
  chart.pen = chart.canvas.getContext('2d');
  plot.addEventListener('pointermove', event => point(chart, event));
  plot.addEventListener('pointerdown', event => point(chart, event));
  plot.addEventListener('pointerleave', () => setCursor(null));
  plot.addEventListener('blur', () => setCursor(null));
  plot.addEventListener('keydown', event => step(chart, event));
  new ResizeObserver(() => { stale = true; }).observe(plot);
}
const cores = make('ul', 'cores'), coresBox = make('details');
coresBox.hidden = true;
coresBox.append(make('summary'), cores);
charts[0].plot.after(coresBox);

function point(chart, event) {
  const { left, right, from, to } = chart.frame || {};
  if (!samples.length || right === undefined) return;
  const x = event.clientX - chart.plot.getBoundingClientRect().left;
  const time = from + (to - from) * Math.min(1, Math.max(0, (x - left) / (right - left)));
  setCursor(samples.reduce((best, s) => Math.abs(s.time - time) < Math.abs(best.time - time) ? s : best));
}
function step(chart, event) {
  const far = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10, Home: -Infinity, End: Infinity, Escape: Infinity }[event.key];
  if (far === undefined || !samples.length || event.altKey || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  const first = samples.findIndex(s => s.time >= chart.frame.from), last = samples.length - 1;
  const next = Math.max(first, Math.min(last, (cursor ? samples.indexOf(cursor) : last) + far));
  setCursor(next === last && far > 0 ? null : samples[next]);
  const s = samples[next];
  chart.plot.setAttribute('aria-valuenow', Math.round((s.time - serverNow()) / 1000));
  chart.plot.setAttribute('aria-valuetext', `${age(s)}: ${chart.series.filter(l => !l.when || l.when(s)).map(l => `${l.name(s)} ${l.text(s)}`).join(', ')}`);
}
function setCursor(sample) { if (cursor !== sample) { cursor = sample; stale = true; } }
const age = s => { const ms = serverNow() - s.time; return ms < 1500 ? 'now' : `${duration(Math.round(ms / 1000) * 1000).replace('.0', '')} ago`; };

$('span').addEventListener('change', () => { span = $('span').value * 1000; stale = true; });
$('pause').addEventListener('click', () => {
  frozen = frozen === null ? serverNow() : null;
  $('pause').setAttribute('aria-pressed', frozen !== null);
  setText($('pause'), frozen === null ? 'Pause' : 'Paused');
  stale = true;
});

