// Taking the choice home: a list, JSON for `batch-runner export --picks`, a manifest for more.

function showChosen() {
  const favourites = [...choices.values()].filter((one) => one.favourite).length;
  const notes = [...choices.values()].filter((one) => one.note).length;
  $('chosen-count').textContent = choices.size ? say('chosen_some', favourites, notes) : say('chosen_none');
  const button = (word, run) => make('button', { type: 'button', onclick: run, disabled: favourites === 0 }, say(word));
  const input = make('input', { type: 'file', accept: '.json,application/json', class: 'offscreen', onchange: readChoices });
  $('chosen-tools').replaceChildren(
    button('list', () => download('favourites.txt', 'text/plain', listText())),
    button('json', () => download('favourites.json', 'application/json', choicesJson())),
    button('more_like', async () => download('more-like-these.yaml', 'text/yaml', await manifestText())),
    make('label', { class: 'button' }, say('import_json'), input));
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
    keepChoices();
  } catch (error) {
    $('chosen-count').textContent = String(error.message);
  }
}

// Every YAML reader takes a JSON string for a double-quoted scalar. Braces that a template would
// read are handed to it as a string of its own.
const literal = (text) => text.replace(/\{\{|\{%|\{#/g, (mark) => `{{ '${mark}' }}`);

// Back from what was sent to a template: the prompt and uploaded files become variables again, and
// what another try of the same (`other`) has otherwise is made from the number of the try.
function asTemplate(value, other, item) {
  if (typeof value === 'string' && item.uploads.has(value)) return `{{ ${item.uploads.get(value)} }}`;
  if (Array.isArray(value)) return value.map((one, index) => asTemplate(one, other?.[index], item));
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, asTemplate(one, other?.[name], item)]));
  }
  const anew = other === undefined || value === other ? null : ofAnotherTry(value, other, item);
  if (anew || typeof value !== 'string') return anew ?? value;
  return item.prompt ? value.split(item.prompt).map(literal).join('{{ prompt }}') : literal(value);
}

function ofAnotherTry(value, other, { tries: [own, others, most] }) {
  if (String(value) === own && String(other) === others) return `{{ n + ${most} }}`;
  return Number.isInteger(value) && Number.isInteger(other) ? "{{ seed('more') }}" : null;
}

// Where the same was tried several times: returns what finds another try of an item, and the numbers
// of both and the last.
function triesOfAll() {
  const at = report.variables.findIndex(({ name }) => name === 'n');
  if (at < 0) return () => ({ other: undefined, tries: [] });
  const same = (one) => JSON.stringify([one.prompt, one.workflow, one.values.filter((_, index) => index !== at)]);
  const pairs = new Map(); // of each, the first two tries
  let most = 1;
  for (const item of items) {
    const [first, second] = pairs.get(same(item)) ?? [];
    if (!second) pairs.set(same(item), first ? [first, item] : [item]);
    most = Math.max(most, Number(item.values[at] ?? 1));
  }
  return (item) => {
    const other = pairs.get(same(item)).find((one) => one !== item);
    return { other, tries: [item.values[at], other?.values[at], most] };
  };
}

async function manifestText() {
  const uploads = new Map(); // what stands for an uploaded file -> its variable
  const files = {}; // its variable -> its path
  const entries = new Map(); // tries of the same are one
  const tryBeside = triesOfAll();
  for (const item of favouriteItems()) {
    const { params, inputs } = await detailsOf(item);
    for (const [path, digest] of inputs) {
      const mark = `batch-runner-upload:${digest}`;
      if (!uploads.has(mark)) uploads.set(mark, `file_${uploads.size + 1}`);
      files[uploads.get(mark)] = literal(path);
    }
    const { other, tries } = tryBeside(item);
    const beside = other && JSON.parse((await detailsOf(other)).params);
    const template = asTemplate(JSON.parse(params), beside, { prompt: item.prompt, uploads, tries });
    const entry = { prompt: literal(item.prompt), workflow: literal(item.workflow), params: template };
    entries.set(JSON.stringify(entry), entry);
  }
  return manifestOf([...entries.values()], files);
}

// Keys of numbers that look like seeds, wherever they stand in the params.
function seedsIn(params) {
  if (params === null || typeof params !== 'object') return [];
  return Object.entries(params).flatMap(([name, value]) => (
    /seed/i.test(name) && typeof value === 'number' ? [name] : seedsIn(value)));
}

// The first favourite speaks for the job; those that were sent otherwise say how.
function manifestOf(entries, files) {
  const sent = ({ workflow, params }) => JSON.stringify([workflow, params]);
  const lines = entries.map((entry) => JSON.stringify(sent(entry) === sent(entries[0]) ? entry.prompt : entry));
  const seeds = [...new Set(entries.flatMap(({ params }) => seedsIn(params)))];
  return [
    '# More like the favourites: change the prompts or the number of tries, then look at',
    '# `batch-runner plan more-like-these.yaml`.',
    ...(seeds.length ? [
      `# ${seeds.join(', ')} is the same in every try here, and may give the same picture each time:`,
      '# with "{{ seed() }}" in its place each try has a number of its own.'] : []),
    `job: ${JSON.stringify(`${report.job.name}-more`)}`,
    `provider: ${JSON.stringify(report.job.provider)}`,
    `workflow: ${JSON.stringify(entries[0].workflow)}`,
    `params: ${JSON.stringify(entries[0].params)}`,
    ...(Object.keys(files).length ? [`files: ${JSON.stringify(files)}`] : []),
    ...(report.price ? [`limits: {price: ${JSON.stringify(report.price.join(' '))}}`] : []),
    'repeat: 4',
    'prompts:',
    ...lines.map((line) => `  - ${line}`),
    '',
  ].join('\n');
}
