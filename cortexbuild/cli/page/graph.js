// The plan as a graph in layers. A step stands right of all that it reads; a line that passes
// layers on its way has a place in each of them, shared by all lines from the same step.
const BOX = { width: 178, height: 70, gap: 16, lane: 12, across: 52, margin: 20 };

function layersOf(steps) {
  const byId = new Map(steps.map((step) => [step.id, step]));
  const depth = new Map();
  for (const step of steps) { // in plan order: what a step reads stands before it
    const below = step.inputs.filter((edge) => byId.has(edge.step)).map((edge) => depth.get(edge.step));
    depth.set(step.id, below.length ? Math.max(...below) + 1 : 0);
  }
  const users = new Map(steps.map((step) => [step.id, []]));
  for (const step of steps) {
    for (const edge of step.inputs) if (byId.has(edge.step)) users.get(edge.step).push(step);
  }
  for (const step of steps) { // what reads nothing stands just before what reads it
    const after = users.get(step.id).map((user) => depth.get(user.id));
    if (!step.inputs.length && after.length) depth.set(step.id, Math.min(...after) - 1);
  }
  const layers = [];
  const put = (item) => { (layers[item.layer] ||= []).push(item); return item; };
  const items = new Map();
  for (const step of steps) {
    items.set(step.id, put({ id: step.id, step, layer: depth.get(step.id), height: BOX.height, near: [] }));
  }
  const lanes = new Map();
  const lines = [];
  for (const step of steps) {
    for (const edge of step.inputs) {
      if (!byId.has(edge.step)) continue;
      const [from, to] = [items.get(edge.step), items.get(step.id)];
      const via = [from];
      for (let layer = from.layer + 1; layer < to.layer; layer += 1) {
        const name = `${edge.step} ${layer}`;
        if (!lanes.has(name)) lanes.set(name, put({ id: name, layer, height: BOX.lane, near: [] }));
        via.push(lanes.get(name));
      }
      via.push(to);
      for (let at = 1; at < via.length; at += 1) {
        via[at].near.push(via[at - 1]);
        via[at - 1].near.push(via[at]);
      }
      lines.push({ from: edge.step, to: step.id, order: !edge.reads.length, via });
    }
  }
  return { layers, items, lines };
}

function settle(layers) {
  const middle = (item) => item.y + item.height / 2;
  const mean = (near) => near.reduce((sum, item) => sum + middle(item), 0) / near.length;
  for (const layer of layers) {
    let y = 0;
    for (const item of layer) { item.y = y; y += item.height + BOX.gap; }
  }
  for (let round = 0; round < 12; round += 1) {
    const forward = round % 2 === 0;
    for (const layer of forward ? layers : [...layers].reverse()) {
      for (const item of layer) {
        const side = item.near.filter((other) => (other.layer < item.layer) === forward);
        item.wish = side.length ? mean(side) : middle(item);
      }
      layer.sort((a, b) => a.wish - b.wish);
      pack(layer);
    }
  }
  const top = Math.min(...layers.flat().map((item) => item.y));
  for (const item of layers.flat()) item.y += BOX.margin - top;
}

// Put items where they wish, in their order and apart: blocks that would touch move as one.
function pack(layer) {
  const blocks = [];
  for (const item of layer) {
    let block = { items: [item], wish: item.wish - item.height / 2, height: item.height };
    while (blocks.length && blocks.at(-1).wish + blocks.at(-1).height + BOX.gap > block.wish) {
      const before = blocks.pop();
      const weight = before.items.length + block.items.length;
      const wish = (before.wish * before.items.length
        + (block.wish - before.height - BOX.gap) * block.items.length) / weight;
      block = { items: [...before.items, ...block.items], wish, height: before.height + BOX.gap + block.height };
    }
    blocks.push(block);
  }
  for (const block of blocks) {
    let y = block.wish;
    for (const item of block.items) { item.y = y; y += item.height + BOX.gap; }
  }
}

function drawGraph(place, steps, choose) {
  if (!steps.length) return { show() {} };
  const { layers, items, lines } = layersOf(steps);
  settle(layers);
  const x = (item) => BOX.margin + item.layer * (BOX.width + BOX.across);
  const width = x({ layer: layers.length - 1 }) + BOX.width + BOX.margin;
  const height = Math.max(...layers.flat().map((item) => item.y + item.height)) + BOX.margin;
  const picture = draw('svg', { width, height, 'aria-hidden': 'true' });
  const plane = make('div', { id: 'plane' }, picture);
  Object.assign(plane.style, { width: `${width}px`, height: `${height}px` });
  for (const line of lines) {
    line.path = draw('path', { d: curve(line.via, x), class: line.order ? 'order' : '' });
    picture.append(line.path);
  }
  const buttons = new Map();
  const order = layers.map((layer) => layer.filter((item) => item.step));
  for (const item of order.flat()) { // column by column, as one reads it
    const button = box(item.step, () => choose(item.step.id));
    Object.assign(button.style, { left: `${x(item)}px`, top: `${item.y}px`,
      width: `${BOX.width}px`, height: `${item.height}px` });
    buttons.set(item.step.id, button);
    plane.append(button);
  }
  plane.addEventListener('keydown', (event) => {
    const to = neighbour(event.key, event.target.dataset.step, items, order, lines);
    if (!to) return;
    event.preventDefault();
    enter(to);
    buttons.get(to).focus();
  });
  const enter = (id) => { // one stop of the tab key for all of them
    for (const [other, button] of buttons) button.tabIndex = other === id ? 0 : -1;
  };
  enter(order.flat()[0].step.id);
  place.append(plane);
  return {
    show(id, { move = false } = {}) {
      for (const [other, button] of buttons) button.setAttribute('aria-pressed', String(other === id));
      for (const line of lines) line.path.classList.toggle('on', line.from === id || line.to === id);
      enter(id);
      if (!move) return;
      const button = buttons.get(id); // the graph scrolls, and the page stays where it is
      place.scrollLeft = button.offsetLeft - (place.clientWidth - BOX.width) / 2;
      place.scrollTop = button.offsetTop - (place.clientHeight - BOX.height) / 2;
    },
  };
}

function box(step, chosen) {
  const cost = known(step.seconds) ? time(step.seconds) : step.size_known ? size(step.size) : '';
  const { name, owner } = named(step);
  const word = STATES[step.status][0];
  return make('button', { type: 'button', class: `node ${step.status}`, 'data-step': step.id,
    title: step.label, 'aria-pressed': 'false', 'aria-label': `${step.label}, ${word}`, onclick: chosen },
  make('span', { class: 'owner' }, owner), make('span', { class: 'name' }, name),
  state(step.status, make('span', { class: 'cost' }, cost)));
}

function named(step) {
  const cut = step.label.lastIndexOf('/');
  const last = step.label.slice(cut + 1);
  const tool = step.tool.name === last ? '' : ` · ${step.tool.name}`;
  return { owner: cut < 0 ? step.kind : step.label.slice(0, cut), name: `${last}${tool}` };
}

function curve(via, x) {
  const middle = (item) => item.y + item.height / 2;
  let path = `M${x(via[0]) + BOX.width} ${middle(via[0])}`;
  for (let at = 1; at < via.length; at += 1) {
    const [from, to] = [via[at - 1], via[at]];
    const [start, end] = [x(from) + BOX.width, x(to)];
    const bend = (start + end) / 2;
    path += `C${bend} ${middle(from)} ${bend} ${middle(to)} ${end} ${middle(to)}`;
    if (!to.step) path += `H${end + BOX.width}`;
  }
  return path;
}

function neighbour(key, id, items, order, lines) {
  const item = items.get(id);
  if (!item) return null;
  const column = order[item.layer];
  const row = column.indexOf(item);
  const nearest = (found) => found.map((other) => items.get(other))
    .sort((a, b) => Math.abs(a.y - item.y) - Math.abs(b.y - item.y))[0]?.id;
  switch (key) {
    case 'ArrowUp': return column[row - 1]?.id;
    case 'ArrowDown': return column[row + 1]?.id;
    case 'ArrowLeft': return nearest(lines.filter((line) => line.to === id).map((line) => line.from));
    case 'ArrowRight': return nearest(lines.filter((line) => line.from === id).map((line) => line.to));
    case 'Home': return order.find((one) => one.length)[0].id;
    case 'End': return order.filter((one) => one.length).at(-1).at(-1).id;
    default: return null;
  }
}
