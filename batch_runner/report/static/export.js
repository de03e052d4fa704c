// Exports favourites: a list, JSON for `batch-runner export --picks`, a manifest for more of them.

function showChosen() {
  const favourites = [...choices.values()].filter((one) => one.favourite).length;
  const notes = [...choices.values()].filter((one) => one.note).length;
  const counts = [favourites && say('count_favourites', favourites), notes && say('count_notes', notes)].filter(Boolean);
  $('chosen-count').textContent = counts.length ? [...counts, say('chosen_kept')].join(' ') : say('chosen_none');
  const button = (word, run) => (favourites ? make('button', { type: 'button', onclick: run }, say(word)) : null);
  const input = make('input', { type: 'file', accept: '.json,application/json', class: 'offscreen', onchange: readChoices });
  $('chosen-tools').replaceChildren(
    ...[
      button('list', () => download('favourites.txt', 'text/plain', listText())),
      button('json', () => download(picksName(), 'application/json', choicesJson())),
      button('more_like', async () => download('more-like-these.yaml', 'text/yaml', await manifestText())),
    ].filter(Boolean),
    make('label', { class: 'button' }, say('import_json'), input));
  $('chosen-next').replaceChildren(...(favourites
    ? [make('p', {}, say('why_export')), commandLine(`${report.export} --picks ~/Downloads/${picksName()}`)] : []));
}

// The name has a hash of the content: a browser that saves the same file again under another name,
// such as "… (1).json", leaves the one that the command names.
function picksName() {
  let hash = 0x811c9dc5; // FNV-1a
  for (const byte of new TextEncoder().encode(choicesJson())) hash = Math.imul(hash ^ byte, 0x01000193);
  return `favourites-${(hash >>> 0).toString(16).padStart(8, '0')}.json`;
}

const favouriteItems = () => items.filter((item) => isFavourite(item.key));

const listText = () => favouriteItems().flatMap((item) => item.files.map(([name]) => `${name}\n`)).join('');

function choicesJson() {
  const picks = items.filter((item) => choices.has(item.key)).map((item) => ({
    key: item.key, id: item.id, files: item.files.map(([name]) => name), prompt: item.prompt, ...choiceOf(item.key),
  }));
  return `${JSON.stringify({ job: report.job.id, name: report.job.name, picks }, null, 2)}\n`;
}

async function readChoices(event) {
  try {
    const { picks } = JSON.parse(await event.target.files[0].text());
    for (const pick of picks) choices.set(String(pick.key), { favourite: Boolean(pick.favourite), note: String(pick.note ?? '') });
    storeChoices();
  } catch (error) {
    $('chosen-count').textContent = String(error.message);
  }
}

// A JSON string is a double-quoted YAML scalar. Braces that a template would evaluate are written
// as an expression that yields them.
const literal = (text) => text.replace(/\{\{|\{%|\{#/g, (mark) => `{{ '${mark}' }}`);

// Numbers that JavaScript would write otherwise (seeds over 2^53, 1.0, 1e+22) stay as they are: while
// params are processed, they are texts with this mark.
const EXACT = '\u0000number:';

function parseExactly(json) {
  return JSON.parse(json.replace(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g, (token) => (
    token[0] === '"' || String(Number(token)) === token && !/e/i.test(token)
      ? token : JSON.stringify(EXACT + token))));
}

// Writes such numbers into a text of JSON; in YAML an exponent needs a decimal point before it.
const withExactNumbers = (json) => json.replace(/"\\u0000number:([^"]*)"/g, (_, number) => (
  number.includes('.') ? number : number.replace(/e/i, '.0e')));

const isExact = (value) => typeof value === 'string' && value.startsWith(EXACT);
const isWhole = (value) => Number.isInteger(value) || isExact(value) && /^-?\d+$/.test(value.slice(EXACT.length));

// Turns sent params back into a template: the prompt and uploaded files become variables again, and
// values that differ in another repetition of the item (`other`) are derived from its number.
function asTemplate(value, other, item) {
  if (typeof value === 'string' && item.uploads.has(value)) return `{{ ${item.uploads.get(value)} }}`;
  if (Array.isArray(value)) return value.map((one, index) => asTemplate(one, other?.[index], item));
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, asTemplate(one, other?.[name], item)]));
  }
  const derived = other === undefined || value === other ? null : fromRepetition(value, other, item);
  if (derived || isExact(value) || typeof value !== 'string') return derived ?? value;
  return item.prompt ? value.split(item.prompt).map(literal).join('{{ prompt }}') : literal(value);
}

function fromRepetition(value, other, { numbers: [own, others, last] }) {
  if (String(value) === own && String(other) === others) return `{{ n + ${last} }}`;
  return isWhole(value) && isWhole(other) ? "{{ seed('more') }}" : null;
}

// With `repeat`: returns a function that finds another repetition of an item, and the numbers of
// both and of the last one.
function repetitions() {
  const at = report.variables.findIndex(({ name }) => name === 'n');
  if (at < 0) return () => ({ other: undefined, numbers: [] });
  const same = (one) => JSON.stringify([one.prompt, one.workflow, one.values.filter((_, index) => index !== at)]);
  const pairs = new Map(); // the first two repetitions
  let last = 1;
  for (const item of items) {
    const [first, second] = pairs.get(same(item)) ?? [];
    if (!second) pairs.set(same(item), first ? [first, item] : [item]);
    last = Math.max(last, Number(item.values[at] ?? 1));
  }
  return (item) => {
    const other = pairs.get(same(item)).find((one) => one !== item);
    return { other, numbers: [item.values[at], other?.values[at], last] };
  };
}

async function manifestText() {
  const uploads = new Map(); // placeholder of an uploaded file -> its variable
  const files = {}; // variable -> path
  const entries = new Map(); // repetitions are one entry
  const findRepetition = repetitions();
  for (const item of favouriteItems()) {
    const { params, inputs } = await detailsOf(item);
    for (const [path, digest] of inputs) {
      const mark = `batch-runner-upload:${digest}`;
      if (!uploads.has(mark)) uploads.set(mark, `file_${uploads.size + 1}`);
      files[uploads.get(mark)] = literal(path);
    }
    const { other, numbers } = findRepetition(item);
    const otherParams = other && parseExactly((await detailsOf(other)).params);
    const template = asTemplate(parseExactly(params), otherParams, { prompt: item.prompt, uploads, numbers });
    const entry = { prompt: literal(item.prompt), workflow: literal(item.workflow), params: template };
    entries.set(JSON.stringify(entry), entry);
  }
  return manifestOf([...entries.values()], files);
}

// Names of params that are probably seeds, at any depth.
function seedsIn(params) {
  if (params === null || typeof params !== 'object') return [];
  return Object.entries(params).flatMap(([name, value]) => (
    /seed/i.test(name) && (typeof value === 'number' || isExact(value)) ? [name] : seedsIn(value)));
}

// The first favourite gives the manifest's params; entries that differ have their own.
function manifestOf(entries, files) {
  const sent = ({ workflow, params }) => JSON.stringify([workflow, params]);
  const lines = entries.map((entry) => JSON.stringify(sent(entry) === sent(entries[0]) ? entry.prompt : entry));
  const seeds = [...new Set(entries.flatMap(({ params }) => seedsIn(params)))];
  return [
    '# More like the favourites: change the prompts or `repeat`, then run',
    '# `batch-runner plan more-like-these.yaml`.',
    ...(seeds.length ? [
      `# ${seeds.join(', ')} is the same in every repetition, which may give the same image each time:`,
      '# use "{{ seed() }}" instead for a different number each time.'] : []),
    `job: ${JSON.stringify(`${report.job.name}-more`)}`,
    `provider: ${JSON.stringify(report.job.provider)}`,
    `workflow: ${JSON.stringify(entries[0].workflow)}`,
    `params: ${JSON.stringify(entries[0].params)}`,
    ...(Object.keys(files).length ? [`files: ${JSON.stringify(files)}`] : []),
    ...(report.price_setting ? [`limits: {price: ${JSON.stringify(report.price_setting)}}`] : []),
    'repeat: 4',
    'prompts:',
    ...lines.map((line) => `  - ${line}`),
    '',
  ].map(withExactNumbers).join('\n');
}
