/* ---- Drawing ---- */

let ink = null;
function inks() {
  if (ink) return ink;
  const css = getComputedStyle(document.documentElement);
  ink = {};
  // Through a probe, since canvas does not know every colour that CSS does.
  const probe = make('i');
  document.body.append(probe);
  for (const name of ['--panel', '--ink', '--soft', '--rule', '--edge', '--first', '--second', '--third', '--bad']) {
    probe.style.color = css.getPropertyValue(name);
    ink[name] = getComputedStyle(probe).color;
  }
  probe.remove();
  ink.font = `11px ${css.getPropertyValue('--sans')}`;
  return ink;
}
for (const query of ['(prefers-color-scheme: dark)', '(forced-colors: active)']) {
  matchMedia(query).addEventListener('change', () => { ink = null; stale = true; });
}

function hatch(pen, x, y, width, height, colour, gap, crossed) {
  pen.save();
  pen.beginPath();
  pen.rect(x, y, width, height);
  pen.clip();
  pen.strokeStyle = colour;
  pen.lineWidth = 1;
  pen.globalAlpha = .55;
  pen.setLineDash([]);
  pen.beginPath();
  // The lines are tied to the left edge, so that they travel with their band.
  for (let at = -height; at < width + height; at += gap) {
    pen.moveTo(x + at, y + height);
    pen.lineTo(x + at + height, y);
    if (crossed) { pen.moveTo(x + at, y); pen.lineTo(x + at + height, y + height); }
  }
  pen.stroke();
  pen.restore();
}

// Dashes begin at the first sample in view. When that one leaves, the next begins its dashes
// where they were, or they would crawl along the line.
function dashOffset(line, start, x, y) {
  let at = samples.indexOf(line.start), offset = line.offset || 0;
  const until = samples.indexOf(start);
  if (at < 0 || at > until) offset = 0;
  else for (; at < until; at += 1) {
    const [p, q] = [samples[at], samples[at + 1]];
    offset += Math.hypot(x(q.time) - x(p.time), y(line.value(q)) - y(line.value(p)));
  }
  line.start = start;
  return line.offset = offset;
}

function draw(chart, to) {
  const { canvas, pen, plot } = chart;
  const width = plot.clientWidth, height = plot.clientHeight, ratio = devicePixelRatio || 1;
  if (!width || !height) return;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const colours = inks(), from = to - span;
  const left = 64, right = width - 62, top = 18, bottom = height - 20;
  chart.frame = { left, right, from, to };
  const x = time => left + (right - left) * (time - from) / span;
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = colours.font;
  pen.lineJoin = 'round';

  const first = Math.max(0, samples.findIndex(s => s.time >= from) - 1);
  const seen = samples.slice(first).filter(s => s.time <= to);
  const axis = chart.axis(seen);
  const y = value => bottom - (bottom - top) * Math.min(1, Math.max(0, value / axis.top));

  // Axes and their units.
  pen.lineWidth = 1;
  pen.strokeStyle = colours['--rule'];
  pen.fillStyle = colours['--soft'];
  pen.textAlign = 'right';
  pen.textBaseline = 'middle';
  const lines = Math.round(axis.top / axis.step);
  for (let i = 0; i <= lines; i += 1) {
    const at = Math.round(y(i * axis.step)) + .5;
    pen.beginPath();
    pen.moveTo(left, at);
    pen.lineTo(right, at);
    pen.stroke();
    if (i % 2 === 0 || lines < 4 || height > 170) pen.fillText(axis.text(i * axis.step), left - 8, at);
  }
  pen.textBaseline = 'alphabetic';
  const parts = span === 600000 ? 10 : span === 1800000 ? 6 : 4;
  for (let i = 0; i <= parts; i += 1) {
    const back = span * (parts - i) / parts, at = Math.round(left + (right - left) * i / parts) + .5;
    pen.beginPath();
    pen.moveTo(at, bottom);
    pen.lineTo(at, bottom + 4);
    pen.stroke();
    if (i % 2 && (right - left) / parts < 64) continue;
    pen.textAlign = i === 0 ? 'left' : 'center';
    const label = back === 0 ? (frozen === null ? 'now' : 'paused') : back % 60000 === 0 ? `−${back / 60000} min` : `−${back / 1000} s`;
    pen.fillText(label, i === 0 ? left - 8 : at, height - 3);
  }

  // Where the connection was away.
  let room = right;
  for (const mark of [...chartMarks].reverse()) {
    const a = Math.max(left, x(mark.from)), b = Math.min(right, x(mark.to === null ? serverNow() : mark.to));
    if (b <= left || a >= right) continue;
    const bad = mark.missing || mark.to === null;
    hatch(pen, a, top, Math.max(2, b - a), bottom - top, colours[bad ? '--bad' : '--edge'], 6, mark.missing);
    pen.strokeStyle = colours[bad ? '--bad' : '--edge'];
    pen.setLineDash([]);
    pen.beginPath();
    for (const edge of [x(mark.from), mark.to === null ? -1 : x(mark.to)]) {
      if (edge >= left && edge <= right) { pen.moveTo(edge, top - 3); pen.lineTo(edge, bottom); }
    }
    pen.stroke();
    // The newest mark has the first choice of room, an older one may have to be brief.
    const words = mark.to === null ? ['✕ no connection', '✕'] : mark.missing ? ['! gap', '!'] : [`↺ ${mark.replayed} replayed`, `↺ ${mark.replayed}`];
    for (const text of words) {
      const wide = pen.measureText(text).width;
      const start = Math.max(left, Math.min(room - wide, (a + b) / 2 - wide / 2));
      if (start + wide > room || start + wide < a) continue;
      pen.fillStyle = colours[bad ? '--bad' : '--soft'];
      pen.textAlign = 'left';
      pen.fillText(text, start, top - 6);
      room = start - 8;
      break;
    }
  }

  // The lines; they break where readings are missing.
  pen.save();
  pen.beginPath();
  pen.rect(left, top - 3, right - left + 8, bottom - top + 6);
  pen.clip();
  const runs = [];
  for (const s of seen) {
    const run = runs[runs.length - 1];
    if (run && s.time - run[run.length - 1].time < 3500) run.push(s); else runs.push([s]);
  }
  const latest = seen[seen.length - 1];
  const shown = chart.series.filter(line => latest && (!line.when || line.when(latest)));
  if (chart.fill && shown.length > Math.max(...chart.fill)) {
    const [upper, lower] = chart.fill.map(i => shown[i]);
    pen.fillStyle = colours['--first'];
    pen.globalAlpha = .13;
    for (const run of runs) {
      pen.beginPath();
      for (const s of run) pen.lineTo(x(s.time), y(upper.value(s)));
      for (const s of [...run].reverse()) pen.lineTo(x(s.time), lower ? y(lower.value(s)) : bottom);
      pen.fill();
    }
    pen.globalAlpha = 1;
  }
  for (const line of [...shown].reverse()) {
    const style = STYLES[line.line];
    pen.strokeStyle = colours[style.colour];
    pen.lineWidth = style.width;
    pen.setLineDash(style.dash);
    for (const run of runs) {
      pen.lineDashOffset = run === runs[0] ? dashOffset(line, run[0], x, y) : 0;
      pen.beginPath();
      for (const s of run) pen.lineTo(x(s.time), y(line.value(s)));
      if (run.length === 1) pen.lineTo(x(run[0].time) + 1, y(line.value(run[0])));
      pen.stroke();
    }
  }
  pen.setLineDash([]);
  if (shown.length && (right - left) / (span / 1000) > 3) {
    pen.fillStyle = colours['--panel'];
    pen.strokeStyle = colours[STYLES[shown[0].line].colour];
    pen.lineWidth = 1.5;
    for (const s of seen) {
      if (s.how !== 'again') continue;
      pen.beginPath();
      pen.arc(x(s.time), y(shown[0].value(s)), 2.25, 0, 7);
      pen.fill();
      pen.stroke();
    }
  }
  pen.restore();

  // Shapes at the ends, and the names beside them, kept apart.
  if (latest && x(latest.time) > left) {
    const labels = shown.map(line => ({ line, at: y(line.value(latest)) })).sort((p, q) => p.at - q.at);
    let above = top - 2;
    for (const label of labels) { label.text = Math.max(label.at, above + 12); above = label.text; }
    let below = bottom + 6;
    for (const label of [...labels].reverse()) { label.text = Math.min(label.text, below); below = label.text - 12; }
    for (const { line, at, text } of labels) {
      pen.fillStyle = colours[STYLES[line.line].colour];
      pen.strokeStyle = colours['--panel'];
      pen.lineWidth = 2;
      pen.beginPath();
      SHAPES[STYLES[line.line].shape](pen, x(latest.time), at);
      pen.stroke();
      pen.fill();
      pen.textAlign = 'left';
      pen.textBaseline = 'middle';
      pen.fillText(line.label, right + 9, text);
      pen.textBaseline = 'alphabetic';
    }
  }

  if (cursor && cursor.time >= from && cursor.time <= to) {
    const at = Math.round(x(cursor.time)) + .5;
    pen.strokeStyle = colours['--ink'];
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(at, top - 3);
    pen.lineTo(at, bottom);
    pen.stroke();
    const words = age(cursor), wide = pen.measureText(words).width;
    const start = Math.max(left, Math.min(right - wide, at - wide / 2));
    pen.fillStyle = colours['--panel'];
    pen.fillRect(start - 6, 0, wide + 12, top - 3);
    pen.fillStyle = colours['--ink'];
    pen.textAlign = 'left';
    pen.fillText(words, start, top - 6);
    for (const line of shown) {
      pen.beginPath();
      SHAPES[STYLES[line.line].shape](pen, at, y(line.value(cursor)));
      pen.fill();
    }
  }
}

function showValues(to) {
  const s = cursor || (frozen === null ? samples[samples.length - 1] : samples.findLast(one => one.time <= to));
  if (!s) return;
  for (const chart of charts) {
    chart.waitNode.hidden = true;
    for (const line of chart.series) {
      line.pair.hidden = Boolean(line.when && !line.when(s));
      setText(line.nameNode, line.name(s));
      setText(line.valueNode, line.text(s));
    }
    chart.plot.setAttribute('aria-valuemin', -span / 1000);
    if (!cursor) {
      chart.plot.setAttribute('aria-valuenow', 0);
      chart.plot.removeAttribute('aria-valuetext');
    }
  }
  if (cores.children.length !== s.load.length) {
    cores.replaceChildren(...s.load.map((_, core) => {
      const item = make('li'), bar = make('i');
      bar.append(make('b'));
      item.append(make('span', '', `core ${core}`), bar, make('em'));
      return item;
    }));
    coresBox.hidden = s.load.length < 2;
    coresBox.open = s.load.length <= 16;
    coresBox.firstChild.textContent = `Each of ${s.load.length} cores`;
  }
  s.load.forEach((value, core) => {
    const item = cores.children[core];
    item.children[1].firstChild.style.transform = `scaleX(${Math.min(1, Math.max(0, value / 100))})`;
    setText(item.children[2], percent(value));
  });
}

// Ten frames a second: at five pixels a second, a step is half a pixel. Once a second for
// those who want no motion.
let drawnAt = 0;
function frame(now) {
  requestAnimationFrame(frame);
  const rest = frozen !== null || still.matches ? 1000 : 95;
  if (!stale && now - drawnAt < rest) return;
  drawnAt = now;
  const to = frozen === null ? serverNow() : frozen;
  if (cursor && cursor.time < to - span) setCursor(null);
  for (const chart of charts) draw(chart, to);
  if (stale) showValues(to);
  stale = false;
}
requestAnimationFrame(frame);
