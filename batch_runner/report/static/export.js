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

// Back from what was sent to a template: the prompt and uploaded files become variables again.
function asTemplate(value, prompt, uploads) {
  if (typeof value === 'string') {
    if (uploads.has(value)) return `{{ ${uploads.get(value)} }}`;
    return prompt ? value.split(prompt).map(literal).join('{{ prompt }}') : literal(value);
  }
  if (Array.isArray(value)) return value.map((one) => asTemplate(one, prompt, uploads));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, asTemplate(one, prompt, uploads)]));
}

async function manifestText() {
  const uploads = new Map(); // what stands for an uploaded file -> its variable
  const files = {}; // its variable -> its path
  const entries = [];
  for (const item of favouriteItems()) {
    const { params, inputs } = await detailsOf(item);
    for (const [path, digest] of inputs) {
      const mark = `batch-runner-upload:${digest}`;
      if (!uploads.has(mark)) uploads.set(mark, `file_${uploads.size + 1}`);
      files[uploads.get(mark)] = literal(path);
    }
    const sent = { workflow: literal(item.workflow), params: asTemplate(JSON.parse(params), item.prompt, uploads) };
    entries.push({ prompt: literal(item.prompt), ...sent });
  }
  return manifestOf(entries, files);
}

// The first favourite speaks for the job; those that were sent otherwise say how.
function manifestOf(entries, files) {
  const sent = ({ workflow, params }) => JSON.stringify([workflow, params]);
  const lines = entries.map((entry) => JSON.stringify(sent(entry) === sent(entries[0]) ? entry.prompt : entry));
  return [
    '# More like the favourites: change the prompts or the number of tries, then look at',
    '# `batch-runner plan more-like-these.yaml`.',
    `job: ${JSON.stringify(`${report.job.name}-more`)}`,
    `provider: ${JSON.stringify(report.job.provider)}`,
    `workflow: ${JSON.stringify(entries[0].workflow)}`,
    `params: ${JSON.stringify(entries[0].params)}`,
    ...(Object.keys(files).length ? [`files: ${JSON.stringify(files)}`] : []),
    'repeat: 4',
    'prompts:',
    ...lines.map((line) => `  - ${line}`),
    '',
  ].join('\n');
}
