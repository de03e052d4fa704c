// Taking the choice home: a list, JSON for `batch-runner export --picks`, a manifest for more.

function showChosen() {
  const favourites = [...choices.values()].filter((one) => one.favourite).length;
  const notes = [...choices.values()].filter((one) => one.note).length;
  $('chosen-count').textContent = choices.size ? say('chosen_some', favourites, notes) : say('chosen_none');
  const button = (word, run) => make('button', { type: 'button', onclick: run, disabled: choices.size === 0 }, say(word));
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

function withPrompt(value, prompt, inputs) {
  if (value === prompt) return '{{ prompt }}';
  if (typeof value === 'string') {
    const input = inputs.find(([, digest]) => value === `batch-runner-upload:${digest}`);
    return input ? `{{ file_${inputs.indexOf(input) + 1} }}` : literal(value);
  }
  if (Array.isArray(value)) return value.map((one) => withPrompt(one, prompt, inputs));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, withPrompt(one, prompt, inputs)]));
}

async function manifestText() {
  const groups = new Map(); // what is sent apart from the prompt -> prompts
  for (const item of favouriteItems()) {
    const { params, inputs } = await detailsOf(item);
    const files = Object.fromEntries(inputs.map(([path], index) => [`file_${index + 1}`, literal(path)]));
    const sent = JSON.stringify([item.workflow, withPrompt(JSON.parse(params), item.prompt, inputs), files]);
    groups.set(sent, [...(groups.get(sent) ?? []), item.prompt]);
  }
  const manifests = [...groups].map(([sent, prompts]) => oneManifest(JSON.parse(sent), prompts));
  return manifests.join('\n# Another manifest: these were sent otherwise. Save it as a file of its own.\n---\n');
}

function oneManifest([workflow, params, files], prompts) {
  return [
    '# More like the favourites: change the prompts or the number of tries, then look at',
    '# `batch-runner plan more-like-these.yaml`.',
    `job: ${JSON.stringify(`${report.job.name}-more`)}`,
    `provider: ${JSON.stringify(report.job.provider)}`,
    `workflow: ${JSON.stringify(workflow)}`,
    `params: ${JSON.stringify(params)}`,
    ...(Object.keys(files).length ? [`files: ${JSON.stringify(files)}`] : []),
    'repeat: 4',
    'prompts:',
    ...prompts.map((prompt) => `  - ${JSON.stringify(literal(prompt))}`),
    '',
  ].join('\n');
}
