// One chart per model: how far from its source each target is (KL, log scale) against its size.
const CHART = { left: 58, right: 22, top: 26, bottom: 46, mark: 5.5 };
const pen = document.createElement('canvas').getContext('2d');

function chartOf(model, targets) {
  const measured = targets.filter((one) => known(one.size) && known(one.measures.kl));
  const absent = targets.filter((one) => !measured.includes(one)).map((one) => one.name);
  const title = make('h3', {}, model.model);
  const note = absent.length ? `Without a measured divergence: ${absent.join(', ')}.` : '';
  if (!measured.length) {
    const why = 'No target of this model has a measured divergence (KL) yet.';
    return make('figure', { class: 'card' }, title, make('figcaption', {}, why));
  }
  const place = make('div', { class: 'plot' });
  const told = [...measured].sort((a, b) => a.size - b.size)
    .map((one) => `${one.name}: ${size(one.size)}, KL ${number(one.measures.kl)}`).join('; ');
  const line = model.frontier.length
    ? 'The line is the frontier of the best choices of bits, as it is predicted from the sensitivities of the layers.'
    : measured.length > 1 ? 'The line joins the targets that no smaller target beats.' : '';
  const figure = make('figure', { class: 'card' }, title, place, make('figcaption', {},
    'KL divergence from the source in nats per token, lower is better, on a logarithmic scale. ',
    line, ' ', note));
  const render = () => {
    const width = Math.floor(place.clientWidth);
    if (!width || width === place.drawn) return;
    place.drawn = width;
    place.replaceChildren(plot(model, measured, width, told));
  };
  new ResizeObserver(render).observe(place);
  return figure;
}

function plot(model, targets, width, told) {
  const height = width < 480 ? 300 : 360;
  const frontier = [...model.frontier].filter((point) => known(point.bytes) && known(point.kl))
    .sort((a, b) => a.bytes - b.bytes);
  const points = targets.map((one) => ({ one, bytes: one.weights ?? one.size, kl: one.measures.kl }));
  const budgets = [...new Set(targets.map((one) => one.budget).filter(known))];
  const limits = [...new Set(targets.map((one) => one.limits.max_kl).filter(known))];
  const area = { x0: CHART.left, x1: width - CHART.right, y0: CHART.top, y1: height - CHART.bottom };
  const across = acrossOf([...points, ...frontier].map((point) => point.bytes), budgets, area);
  const up = upOf([...points, ...frontier].map((point) => point.kl), limits, area);
  const svg = draw('svg', { viewBox: `0 0 ${width} ${height}`, height, role: 'img',
    'aria-label': `Quality against size of ${model.model}. ${told}` });
  const taken = [];
  axes(svg, area, across, up, taken);
  rules(svg, area, across, up, budgets, limits, taken);
  const line = (frontier.length ? frontier : best(points))
    .map((point) => [across.at(point.bytes), up.at(point.kl)]);
  if (line.length > 1) svg.append(draw('path', { class: 'frontier', d: `M${line.join('L')}` }));
  const drawn = line.slice(1).map((end, at) => [...line[at], ...end]);
  drawn.push(...budgets.map((budget) => [across.at(budget), area.y0, across.at(budget), area.y1]));
  drawn.push(...limits.map((limit) => [area.x0, up.at(limit), area.x1, up.at(limit)]));
  for (const point of points) {
    point.x = across.at(point.bytes);
    point.y = up.at(point.kl);
    taken.push(around(point.x, point.y, 2 * CHART.mark + 2, 2 * CHART.mark + 2));
  }
  const leaders = draw('g', {});
  svg.append(leaders);
  for (const point of points) {
    svg.append(draw('circle', { class: `mark ${point.one.state}`, cx: point.x, cy: point.y,
      r: CHART.mark }, draw('title', {}, `${point.one.target}: ${size(point.bytes)}, KL ${number(point.kl)}`)));
  }
  for (const point of [...points].sort((a, b) => a.y - b.y)) label(svg, leaders, point, area, taken, drawn);
  return svg;
}

function acrossOf(sizes, budgets, area) {
  const all = [...sizes, ...budgets];
  const [least, most] = [Math.min(...all), Math.max(...all)];
  const spare = (most - least || most || 1) * 0.12;
  const [from, to] = [Math.max(0, least - spare), most + spare];
  const power = Math.min(4, Math.max(0, Math.floor(Math.log2(to) / 10)));
  const unit = 1024 ** power;
  const room = Math.max(3, Math.floor((area.x1 - area.x0) / 92));
  const step = nice((to - from) / unit / room);
  const ticks = [];
  for (let tick = Math.ceil(from / unit / step) * step; tick <= to / unit; tick += step) {
    ticks.push([tick * unit, `${Number(tick.toPrecision(6))} ${['B', 'KiB', 'MiB', 'GiB', 'TiB'][power]}`]);
  }
  return { ticks, at: (bytes) => area.x0 + ((bytes - from) / (to - from)) * (area.x1 - area.x0) };
}

function nice(step) {
  const base = 10 ** Math.floor(Math.log10(step));
  return base * [1, 2, 2.5, 5, 10].find((factor) => base * factor >= step * 0.999);
}

// What is nought, or measured a hair below it, stands on a line of its own under the scale.
function upOf(values, limits, area) {
  const positive = [...values, ...limits].filter((value) => value > 1e-9);
  let [low, high] = positive.length ? [Math.min(...positive), Math.max(...positive)] : [0.01, 1];
  const none = values.some((value) => value <= 1e-9);
  [low, high] = [Math.log10(low) - 0.15, Math.log10(high) + 0.2];
  if (high - low < 1) [low, high] = [(low + high) / 2 - 0.5, (low + high) / 2 + 0.5];
  const bottom = none ? area.y1 - 34 : area.y1;
  const at = (value) => (value <= 1e-9 ? area.y1 - 10
    : bottom - ((Math.log10(value) - low) / (high - low)) * (bottom - area.y0));
  const factors = high - low > 3.2 ? [1] : high - low > 1.4 ? [1, 3] : [1, 2, 5];
  const ticks = none ? [[0, '0']] : [];
  for (let power = Math.floor(low); power <= high; power += 1) {
    for (const factor of factors) {
      const value = factor * 10 ** power;
      if (Math.log10(value) >= low && Math.log10(value) <= high) {
        ticks.push([value, value >= 0.00001 ? String(Number(value.toPrecision(2))) : value.toExponential(0)]);
      }
    }
  }
  return { ticks, at };
}

function axes(svg, area, across, up, taken) {
  for (const [value, words] of up.ticks) {
    const y = up.at(value);
    svg.append(draw('line', { class: 'grid', x1: area.x0, x2: area.x1, y1: y, y2: y }),
      draw('text', { x: area.x0 - 8, y: y + 4, 'text-anchor': 'end' }, words));
  }
  for (const [value, words] of across.ticks) {
    const x = across.at(value);
    svg.append(draw('line', { class: 'axis', x1: x, x2: x, y1: area.y1, y2: area.y1 + 5 }),
      draw('text', { x, y: area.y1 + 19, 'text-anchor': 'middle' }, words));
  }
  svg.append(draw('line', { class: 'axis', x1: area.x0, x2: area.x1, y1: area.y1, y2: area.y1 }),
    draw('text', { x: area.x1, y: area.y1 + 38, 'text-anchor': 'end' }, 'size of the weights'),
    draw('text', { x: 4, y: 14 }, 'KL, log scale'));
  taken.push({ x: 0, y: 0, width: 84, height: 18 });
}

function rules(svg, area, across, up, budgets, limits, taken) {
  limits.forEach((limit) => {
    const [y, words] = [up.at(limit), `limit ${number(limit)}`];
    svg.append(draw('line', { class: 'limit', x1: area.x0, x2: area.x1, y1: y, y2: y }));
    const box = free(taken, ['x1', 'x0'].flatMap((side) => [-16, 4].map((shift) => ({
      x: side === 'x1' ? area.x1 - wide(words) : area.x0 + 4, y: y + shift, width: wide(words), height: 14 }))));
    if (box) svg.append(draw('text', { class: 'limit-label', x: box.x, y: box.y + 11 }, words));
  });
  budgets.forEach((budget) => {
    const [x, words] = [across.at(budget), `budget ${size(budget)}`];
    svg.append(draw('line', { class: 'budget', x1: x, x2: x, y1: area.y0 - 8, y2: area.y1 }));
    const rows = [0, 16, 32, 48].map((row) => area.y0 - 8 + row);
    const box = free(taken, rows.flatMap((y) => [x + 5, x - 5 - wide(words)].map((left) => ({
      x: left, y, width: wide(words), height: 14 }))).filter((one) => one.x > area.x0 && one.x + one.width < area.x1 + CHART.right));
    if (box) svg.append(draw('text', { class: 'budget-label', x: box.x, y: box.y + 11 }, words));
  });
}

// Near its mark if there is room, else further off with a line to it.
function label(svg, leaders, point, area, taken, drawn) {
  const words = point.one.name;
  const [width, height] = [wide(words), 15];
  const angles = [0, 180, -45, 45, -135, 135, -90, 90, -20, 20, -160, 160, -70, 70, -110, 110];
  const places = [];
  for (let far = 9; far < 190; far += 7) {
    for (const angle of angles) {
      const turn = (angle * Math.PI) / 180;
      const [dx, dy] = [Math.cos(turn), Math.sin(turn)];
      const x = point.x + dx * (far + (Math.abs(dx) < 0.01 ? 0 : width / 2)) - width / 2;
      const y = point.y + dy * (far + height / 2) - height / 2;
      if (x >= area.x0 + 2 && x + width <= area.x1 + CHART.right - 2 && y >= 2 && y + height <= area.y1 - 1) {
        places.push({ x, y, width, height, far });
      }
    }
  }
  const near = places.filter((place) => place.far < 40 && !drawn.some((line) => crosses(line, place)));
  const box = free(taken, [...near, ...places]);
  if (!box) return; // it is in the table of targets, and in the title of its mark
  svg.append(draw('text', { class: 'label', x: box.x, y: box.y + 11.5 }, words));
  if (box.far > 22) {
    const x = Math.min(Math.max(point.x, box.x), box.x + width);
    const y = point.y < box.y ? box.y : point.y > box.y + height ? box.y + height : point.y;
    leaders.append(draw('line', { class: 'leader', x1: point.x, y1: point.y, x2: x, y2: y }));
  }
}

function crosses([x1, y1, x2, y2], box) {
  for (let part = 0; part <= 1; part += 1 / 64) {
    const [x, y] = [x1 + (x2 - x1) * part, y1 + (y2 - y1) * part];
    if (x > box.x - 2 && x < box.x + box.width + 2 && y > box.y && y < box.y + box.height) return true;
  }
  return false;
}

function free(taken, places) {
  const box = places.find((one) => !taken.some((other) => one.x < other.x + other.width + 3
    && other.x < one.x + one.width + 3 && one.y < other.y + other.height && other.y < one.y + one.height));
  if (box) taken.push(box);
  return box;
}

const around = (x, y, width, height) => ({ x: x - width / 2, y: y - height / 2, width, height });

function wide(words) {
  pen.font = `600 12px ${getComputedStyle(document.body).fontFamily}`;
  return Math.ceil(pen.measureText(words).width) + 2;
}

function best(points) {
  const found = [];
  for (const point of [...points].sort((a, b) => a.bytes - b.bytes || a.kl - b.kl)) {
    if (!found.length || point.kl < found.at(-1).kl) found.push(point);
  }
  return found;
}
