// Targets, times, bytes and sources as tables. Wide ones scroll in a box of their own.
function table(caption, heads, rows) {
  const cell = (head, content, at) => make(at === 0 ? 'th' : 'td',
    { scope: at === 0 ? 'row' : null, class: [at === 0 ? 'name' : '', head.class || ''].join(' ').trim() }, content);
  return make('div', { class: 'card scroll', tabindex: 0, role: 'region', 'aria-label': caption },
    make('table', {}, make('caption', {}, caption),
      make('thead', {}, make('tr', {}, heads.map((head) => make('th', { scope: 'col', class: head.class || null },
        head.hidden ? make('span', { class: 'hidden' }, head.name) : head.name)))),
      make('tbody', {}, rows.map((row) => make('tr', {}, row.map((content, at) => cell(heads[at], content, at)))))));
}

const NUMBER = 'number';
const bar = (share) => {
  const line = make('span', { 'aria-hidden': 'true' });
  line.style.width = `${Math.max(0, share) * 100}%`;
  return line;
};

const MEASURES = [
  ['KL', 'kl', number], ['KL p99', 'kl_p99', number], ['top-1', 'top1', percent],
  ['perplexity', 'perplexity', number], ['ppl ratio', 'ppl_ratio', number],
  ['tokens/s', 'tokens_per_second', number], ['memory', 'memory_bytes', size],
];

function targetsTable(targets, reveal) {
  const shown = MEASURES.filter(([, name]) => targets.some((one) => known(one.measures[name])));
  const heads = [{ name: 'Target' }, { name: 'State' }, { name: 'Size', class: NUMBER },
    ...shown.map(([name]) => ({ name, class: NUMBER })), { name: 'Recipe', class: 'keep' }, { name: 'Build time', class: NUMBER }];
  const rows = targets.map((one) => [
    make('span', {}, make('button', { type: 'button', class: 'link', onclick: () => reveal(one.step) }, one.target),
      ...[...one.problems, one.note].filter(Boolean).map((said) => make('div', { class: 'muted small' }, said))),
    state(one.state), size(one.size),
    ...shown.map(([, name, write]) => write(one.measures[name])),
    make('span', {}, one.recipe, Object.keys(one.tried).length ? ` (after ${Object.keys(one.tried).join(', ')})` : '',
      ...Object.entries(one.settings).map(([name, value]) => make('div', { class: 'muted small' }, `${name}: ${plain(value)}`))),
    time(one.seconds)]);
  return table('Each target: how large, how good, how fast. A name shows the step that makes it.', heads, rows);
}

const plain = (value) => (typeof value === 'object' ? JSON.stringify(value) : String(value));

function timeTable(steps, reveal) {
  const timed = steps.filter((step) => known(step.seconds)).sort((a, b) => b.seconds - a.seconds);
  if (!timed.length) return make('p', { class: 'muted' }, 'Nothing was built yet.');
  const total = timed.reduce((sum, step) => sum + step.seconds, 0);
  const most = timed[0].seconds || 1;
  const heads = [{ name: 'Step' }, { name: 'Time', class: NUMBER }, { name: 'Share of the longest', class: 'bar', hidden: true }];
  const rows = (some) => some.map((step) => [stepLink(step, reveal), time(step.seconds), bar(step.seconds / most)]);
  const caption = `What each step took when it was last made; ${time(total)} in all.`;
  return folded(timed, 10, (some, rest) => table(rest ? 'The other steps, which took less.' : caption, heads, rows(some)));
}

function folded(all, most, build) {
  const rest = all.slice(most);
  return make('div', {}, build(all.slice(0, most), false), rest.length
    ? make('details', {}, make('summary', {}, `${count(rest.length, 'more row')}`), build(rest, true)) : null);
}

const stepLink = (step, reveal) => make('button',
  { type: 'button', class: 'link', onclick: () => reveal(step.id) }, step.label);

const GROUPS = [
  ['targets', 'targets', 'what the targets consist of'],
  ['sources', 'sources', 'what they were made from'],
  ['intermediates', 'intermediates', 'results between, kept so that they are not made again'],
  ['others', 'everything else', 'of other projects, or of earlier builds'],
];

function bytesTable(bytes, steps, reveal) {
  const most = Math.max(1, bytes.total);
  const stack = make('div', { id: 'stack', 'aria-hidden': 'true' });
  for (const [name] of GROUPS) {
    if (!bytes[name]) continue;
    const part = make('span', { class: `tone-${name}` });
    part.style.flexGrow = String(bytes[name] / most);
    stack.append(part);
  }
  const groups = table(`The store holds ${size(bytes.total)}; a file that several things share is counted once.`,
    [{ name: 'Part' }, { name: 'Size', class: NUMBER }, { name: 'Share', class: NUMBER }],
    GROUPS.map(([name, words, about]) => [
      make('span', {}, make('span', { class: `swatch tone-${name}`, 'aria-hidden': 'true' }), words,
        make('div', { class: 'muted small' }, about)), size(bytes[name]), percent(bytes[name] / most)]));
  if (bytes.total) groups.prepend(stack);
  const stored = steps.filter((step) => step.here && step.size_known && step.size).sort((a, b) => b.size - a.size);
  const largest = (some, rest) => table(rest ? 'The other outputs.' : 'The outputs of steps that are stored, the largest first.',
    [{ name: 'Step' }, { name: 'Size', class: NUMBER }, { name: 'Share of the largest', class: 'bar', hidden: true }],
    some.map((step) => [stepLink(step, reveal), size(step.size), bar(step.size / stored[0].size)]));
  return make('div', {}, groups, stored.length ? folded(stored, 8, largest) : null);
}

function sourcesTable(sources, targets, steps) {
  const from = table('What the targets are made from, and under which licence.',
    [{ name: 'Source' }, { name: 'Licence', class: 'licence' }, { name: 'Made from' }, { name: 'Size', class: NUMBER },
      { name: 'Revision' }, { name: 'Content (sha256 of the list of files)' }, { name: 'Files' }],
    sources.map((one) => [one.origin, one.licence, one.base_model || '–', size(one.size), make('span', { class: 'hash' }, one.commit || '–'),
      make('span', { class: 'hash' }, one.digest), files(one)]));
  const made = new Map(steps.map((step) => [step.id, step]));
  const into = table('What was made, when and where, and whether the same comes out elsewhere.',
    [{ name: 'Target' }, { name: 'Licence', class: 'licence' }, { name: 'Made', class: 'keep' }, { name: 'On', class: 'keep' },
      { name: 'Reproducible', class: 'keep' }, { name: 'Content', class: 'keep' }, { name: 'Where it is' }],
    targets.map((one) => {
      const step = made.get(one.step);
      return [one.target, one.licences.join(', '), moment(step?.made_at), step?.platform || '–',
        one.bit_exact ? 'bit for bit' : 'not promised', make('span', { class: 'hash' }, short(one.digest)),
        make('span', { class: 'hash' }, one.path)];
    }));
  return make('div', {}, sources.length ? from : null, into);
}

function files(source) {
  return make('details', {}, make('summary', {}, count(source.files.length, 'file')),
    make('ul', {}, source.files.map((file) => make('li', { class: 'small' }, `${file.path}, ${size(file.size)} `,
      make('span', { class: 'hash' }, short(file.digest))))));
}
