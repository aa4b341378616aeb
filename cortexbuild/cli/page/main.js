// Put the page together, and show the step that is chosen.
const report = JSON.parse(document.getElementById('data').textContent);
const at = (id) => document.getElementById(id);
const steps = new Map(report.steps.map((step) => [step.id, step]));

function tiles() {
  const states = report.summary.targets;
  const counts = report.summary.steps;
  const words = (found, names) => names.filter((name) => found[name])
    .map((name) => `${found[name]} ${STATES[name][0]}`).join(', ');
  const spent = report.steps.reduce((sum, step) => sum + (step.seconds || 0), 0);
  const run = report.last_run;
  const tile = (name, big, small) => make('div', {}, make('dt', {}, name),
    make('dd', { class: 'big' }, big), make('dd', { class: 'small' }, small));
  at('tiles').append(
    tile('Targets', count(report.targets.length, 'target'), words(states, ['fresh', 'stale', 'not-built', 'bad'])),
    tile('Steps', count(report.steps.length, 'step'), words(counts, ['built', 'cached', 'failed', 'skipped', 'will-run', 'may-run'])),
    tile('Build time', time(spent), run ? `last build ${moment(run.at)}` : 'never built here'),
    tile('Stored', size(report.bytes.total), report.bytes.others
      ? `${size(report.bytes.total - report.bytes.others)} of it for this page` : 'all of it for this page'));
}

function failures() {
  const broken = report.steps.filter((step) => step.status === 'failed');
  const bad = report.targets.filter((one) => one.problems.length);
  if (!broken.length && !bad.length) return;
  at('failures').append(make('div', { class: 'card trouble' }, make('h3', {}, 'What went wrong'), make('ul', {},
    broken.map((step) => make('li', {}, stepLink(step, reveal), `: ${step.failure?.message || 'it failed'}`,
      step.failure?.hint ? make('div', { class: 'muted small' }, step.failure.hint) : null)),
    bad.map((one) => make('li', {}, make('button', { type: 'button', class: 'link', onclick: () => reveal(one.checks[0] || one.step) },
      one.target), ` is not good enough: ${one.problems.join('; ')}`)))));
}

function details(step) {
  const fact = (name, value) => (known(value) && value !== '' ? [make('dt', {}, name), make('dd', {}, value)] : []);
  const engine = Object.entries(step.tool.engine || {}).map(([name, version]) => `${name} ${version}`).join(', ');
  const list = (title, items) => (items.length ? [make('h4', {}, title), make('ul', {}, items.map((item) => make('li', {}, item)))] : []);
  const reasons = step.reasons.map((one) => `${one.text}${one.where ? ` (${one.where})` : ''}`);
  const made = step.made_at ? `${moment(step.made_at)}${step.platform ? ` on ${step.platform}` : ''}` : null;
  const failure = step.failure ? make('div', { class: 'error' },
    [step.failure.message, step.failure.hint, step.failure.log ? `log: ${step.failure.log}` : ''].filter(Boolean).join('\n')) : null;
  const users = report.steps.filter((other) => other.inputs.some((edge) => edge.step === step.id));
  at('details').replaceChildren(...[
    make('p', { class: 'eyebrow' }, step.kind), make('h3', {}, step.label), state(step.status), failure,
    ...list(step.state === 'fresh' ? 'Why' : 'Why it runs', reasons.length ? reasons : [why(step)]),
    make('h4', {}, 'What it is'),
    make('dl', { class: 'facts' },
      ...fact('Tool', `${step.tool.name}, revision ${step.tool.revision}${engine ? ` (${engine})` : ''}`),
      ...fact('Time', known(step.seconds) ? time(step.seconds) : null),
      ...fact(step.size_known ? 'Size' : 'Size, about', size(step.size)),
      ...fact('Bytes', step.size_known ? (step.here ? 'in the store' : 'not in the store, and not needed') : null),
      ...fact('Made', made), ...fact('Same bytes', step.determinism),
      ...fact('Key', step.key ? make('span', { class: 'hash' }, step.key) : 'not known before its inputs are'),
      ...fact('Output', step.output ? make('span', { class: 'hash' }, step.output) : null)),
    ...list('Settings', Object.entries(step.params).map(([name, value]) => make('span', { class: 'mono' }, `${name}: ${plain(value)}`))),
    ...list('Reads', step.inputs.filter((edge) => steps.has(edge.step)).map((edge) => [`${edge.role}: `, stepLink(steps.get(edge.step), reveal),
      edge.reads.length ? '' : ' (only has to succeed)']).map((parts) => make('span', {}, parts))),
    ...list('Read by', users.map((other) => stepLink(other, reveal))),
    ...list('For', step.targets),
  ].filter(known));
}

function why(step) {
  if (step.status === 'built') return 'the last build made it, and nothing changed since';
  if (step.state === 'fresh') return 'nothing that decides its output changed';
  return STATES[step.status][1];
}

const graph = drawGraph(at('graph'), report.steps, (id) => choose(id));

function choose(id, options) {
  details(steps.get(id));
  graph.show(id, options);
}

// From elsewhere on the page: bring the graph into sight too.
function reveal(id) {
  if (!steps.has(id)) return;
  choose(id, { move: true });
  at('explorer').scrollIntoView({ block: 'start' });
  at('graph').querySelector('[aria-pressed="true"]').focus({ preventScroll: true });
}

at('project').append(report.project);
at('made').append(`Made ${moment(report.at)} by cortexbuild ${report.cortexbuild}.`);
for (const title of document.querySelectorAll('main h2:not(.hidden)')) {
  at('nav').append(make('a', { href: `#${title.id}` }, title.textContent));
}
at('legend').append(...Object.keys(report.summary.steps).filter((name) => STATES[name])
  .map((name) => make('li', {}, state(name), STATES[name][1])));
tiles();
failures();
at('charts').append(...report.models.map((model) => chartOf(model,
  report.targets.filter((one) => one.model === model.model))));
at('targets').append(targetsTable(report.targets, reveal));
at('time').append(timeTable(report.steps, reveal));
at('bytes').append(bytesTable(report.bytes, report.steps, reveal));
at('sources').append(sourcesTable(report.sources, report.targets, report.steps));
at('footer').append('This page is one file: it loads nothing, and can be sent as it is. ',
  'The same for programs: cortexbuild report --json.');
const first = report.steps.find((step) => step.status === 'failed')
  || steps.get(report.targets[0]?.step) || report.steps[0];
if (first) choose(first.id, { move: true });
