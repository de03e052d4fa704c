// Favourites, notes and the items to compare. Favourites and notes survive a reload: the browser
// stores them under the job's id, so that two jobs in one browser do not mix.

const choices = new Map(); // key -> {favourite, note}
const compared = []; // keys, at most four
const MAX_COMPARED = 4;
const listeners = [];

const storageName = () => `batch-runner:${report.job.id}:choices`;

function loadChoices() {
  try {
    for (const [key, one] of JSON.parse(localStorage.getItem(storageName()) ?? '[]')) {
      choices.set(key, { favourite: Boolean(one.favourite), note: String(one.note ?? '') });
    }
  } catch { /* storage is disabled: choices last as long as the page is open */ }
}

function storeChoices() {
  try {
    localStorage.setItem(storageName(), JSON.stringify([...choices]));
  } catch { /* as above */ }
  for (const listener of listeners) listener();
}

const choiceOf = (key) => choices.get(key) ?? { favourite: false, note: '' };
const isFavourite = (key) => choiceOf(key).favourite;

function choose(key, change) {
  const choice = { ...choiceOf(key), ...change };
  if (choice.favourite || choice.note) choices.set(key, choice);
  else choices.delete(key);
  storeChoices();
}

const toggleFavourite = (key) => choose(key, { favourite: !isFavourite(key) });

function toggleCompared(key) {
  const index = compared.indexOf(key);
  if (index >= 0) compared.splice(index, 1);
  else compared.push(key);
  if (compared.length > MAX_COMPARED) compared.shift(); // remove the oldest
  for (const listener of listeners) listener();
}

const isTyping = (target) => target.matches('input:not([type=checkbox]), select, textarea');
