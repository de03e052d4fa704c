// One item in full, and two to four side by side.

let current = null; // the item in the viewer
let opener = null; // gets the focus back when the viewer closes

function openByKey(key) {
  const item = byKey.get(key);
  if (item) openItem(item);
}

function openItem(item) {
  current = item;
  keepAddress(`#item=${encodeURIComponent(item.key)}`);
  if (!$('viewer').open) {
    opener = document.activeElement;
    $('viewer').showModal();
  }
  showItem();
}

// The URL names the open item, so that it can be shared and survives a reload.
function keepAddress(hash) {
  try { history.replaceState(null, '', hash || location.pathname); } catch { /* no history here */ }
}

function openFromAddress() {
  const key = new URLSearchParams(location.hash.slice(1)).get('item');
  if (key) openByKey(key);
}

function step(by) {
  const index = shown.indexOf(current);
  const next = shown[index + by];
  if (next) openItem(next);
}

function showItem() {
  const item = current;
  const focused = document.activeElement?.dataset?.action;
  const action = (word, run, attributes = {}) =>
    make('button', { type: 'button', 'data-action': word, onclick: run, ...attributes }, say(word));
  const index = shown.indexOf(item);
  $('viewer').replaceChildren(
    make('header', { class: 'viewer-head' },
      make('h2', { id: 'viewer-title' }, foreign(item.id)),
      make('span', { class: 'status' }, make('span', { class: `dot ${item.status}` }), say(`status_${item.status}`)),
      index >= 0 ? make('span', { class: 'soft' }, say('of', index + 1, shown.length)) : null,
      make('span', { class: 'row end' },
        action('previous', () => step(-1), { disabled: index <= 0 }),
        action('next_item', () => step(1), { disabled: index < 0 || index >= shown.length - 1 }),
        action('favourite', () => toggleFavourite(item.key), { class: 'star' }),
        action('compare', () => toggleCompared(item.key)),
        // The page's own button cannot be reached while the viewer is open.
        action('compare_now', openComparison),
        action('close', () => $('viewer').close()))),
    make('div', { class: 'viewer-body' }, make('div', { class: 'stage' }, fullFiles(item)), properties(item)));
  markViewer();
  const again = focused && $('viewer').querySelector(`[data-action="${focused}"]:not([disabled])`);
  (again || $('viewer').querySelector('[data-action=close]')).focus();
  showDetails(item);
}

// Updates the marks only: rebuilding the viewer would take the focus from the note being written.
function markViewer() {
  if (!$('viewer').open) return;
  const button = (word) => $('viewer').querySelector(`[data-action=${word}]`);
  button('favourite').setAttribute('aria-pressed', String(isFavourite(current.key)));
  button('compare').setAttribute('aria-pressed', String(compared.includes(current.key)));
  button('compare_now').hidden = compared.length < 2;
  button('compare_now').textContent = say('compare_now', compared.length);
}

const fullFiles = (item) => (item.files.length > 0 ? item.files.map((file) => fullFile(item, file)) : preview(item));

function property(word, ...children) {
  return [make('dt', {}, say(word)), make('dd', {}, ...children)];
}

function properties(item) {
  const [, submitted, completed, done] = item.times;
  const known = report.variables.map((variable, index) => [variable.name, item.values[index] ?? null]).filter(([, value]) => value !== null);
  const note = make('textarea', { id: 'note', rows: 2 });
  note.value = choiceOf(item.key).note;
  note.addEventListener('input', () => choose(item.key, { note: note.value }));
  return make('div', { class: 'properties' },
    make('h3', {}, say('prompt')), make('p', { class: 'prompt', dir: 'auto' }, item.prompt),
    make('dl', {},
      item.reason || item.message ? property('reason', foreign(item.reason), item.reason && item.message ? ' · ' : null, foreign(item.message)) : [],
      known.length ? property('variables', known.map(([name, value]) => make('div', {}, foreign(name), ' = ', foreign(value)))) : [],
      item.files.length ? property('file', item.files.map(([name, , , kind, size]) => make('div', {}, fileLink(name, kind, foreign(fileAddress(name))), make('span', { class: 'soft' }, ` ${fileKind(kind, size)}`)))) : [],
      item.reused ? property('reused', foreign(item.reused)) : [],
      item.task ? property('task', make('code', {}, item.task)) : [],
      submitted && completed ? property('service_time', span(completed - submitted)) : [],
      submitted && done ? property('total_time', span(done - submitted)) : [],
      property('attempt', String(item.attempt)),
      item.source ? property('source', make('code', {}, foreign(item.source))) : [],
      property('workflow', foreign(item.workflow))),
    item.status === 'done' && item.listed ? [make('h3', {}, say('redo')), commandLine(`${report.redo} ${shellName(item)}`)] : null,
    make('label', { class: 'note' }, make('span', {}, say('note')), note),
    make('div', { id: 'details' }));
}

// The id where a shell takes it as it is, else the key.
const shellName = (item) => (/^[A-Za-z0-9_][\w./-]*$/.test(item.id) ? item.id : item.key);

async function detailsOf(item) {
  const index = items.indexOf(item);
  const shard = Math.floor(index / report.detailsPerShard);
  const name = `details-${shard}`;
  if (!window.batchReport[name]) await loadScript(report.details[shard]);
  return window.batchReport[name][index % report.detailsPerShard];
}

async function showDetails(item) {
  try {
    const details = await detailsOf(item);
    if (current !== item || !$('details')) return;
    const { params, events } = details;
    $('details').replaceChildren(
      make('h3', {}, say('history')),
      make('ol', { class: 'history' }, events.map(([at, event, , task, reason, message]) => make('li', {},
        make('time', {}, clock(at, 'medium')), ' ', say(`event_${event}`), task && /^(submit_confirmed|task_found)$/.test(event) ? ` · ${task}` : null,
        reason ? make('span', { class: 'soft' }, ' · ', foreign(reason)) : null,
        message ? make('div', { class: 'soft' }, foreign(message)) : null))),
      make('h3', {}, say('params')), make('pre', { tabindex: 0, dir: 'auto' }, params));
  } catch {
    if ($('details')) $('details').textContent = say('details_failed');
  }
}

function showTray() {
  $('tray').hidden = compared.length === 0;
  $('tray').setAttribute('aria-label', say('compare'));
  $('tray').replaceChildren(
    ...compared.map((key) => make('span', { class: 'chip' }, preview(byKey.get(key)))),
    compared.length > 1
      ? make('button', { type: 'button', class: 'primary', onclick: openComparison }, say('compare_now', compared.length))
      : make('span', {}, say('compare_more')),
    make('button', { type: 'button', onclick: () => { compared.length = 0; listeners.forEach((one) => one()); } }, say('compare_clear')));
}

function openComparison() {
  if (compared.length < 2) return;
  $('viewer').close();
  if (!$('comparison').open) $('comparison').showModal();
  showComparison();
}

function showComparison() {
  if (!$('comparison').open) return;
  if (compared.length < 2) { $('comparison').close(); return; }
  const focused = [...$('comparison').querySelectorAll('button')].indexOf(document.activeElement);
  $('comparison').replaceChildren(
    make('header', { class: 'viewer-head' }, make('h2', { id: 'comparison-title' }, say('compare_title')),
      make('button', { type: 'button', class: 'end', onclick: () => $('comparison').close() }, say('close'))),
    make('div', { class: `side-by-side of-${compared.length}` }, compared.map((key) => {
      const item = byKey.get(key);
      return make('figure', {}, make('div', { class: 'stage' }, fullFiles(item)),
        make('figcaption', {}, make('strong', {}, foreign(item.id)), make('p', { class: 'prompt', dir: 'auto' }, item.prompt),
          make('span', { class: 'row' },
            make('button', { type: 'button', class: 'star', 'aria-pressed': String(isFavourite(key)), onclick: () => toggleFavourite(key) }, say('favourite')),
            make('button', { type: 'button', onclick: () => toggleCompared(key) }, say('take_out')))));
    })));
  const buttons = $('comparison').querySelectorAll('button');
  (buttons[focused] ?? buttons[0]).focus();
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || event.target.matches?.('video, audio')) return;
  const focused = event.target.closest?.('.tile');
  const inViewer = $('viewer').open;
  const key = inViewer ? current.key : focused?.dataset.key;
  const run = {
    '/': () => (inViewer || $('comparison').open ? false : focusSearch()),
    f: () => (key ? toggleFavourite(key) : false),
    c: () => (key ? toggleCompared(key) : false),
    ArrowLeft: () => (inViewer ? step(-1) : focused ? moveFocus(focused, 'ArrowLeft') : false),
    ArrowRight: () => (inViewer ? step(1) : focused ? moveFocus(focused, 'ArrowRight') : false),
    ArrowUp: () => (focused && !inViewer ? moveFocus(focused, 'ArrowUp') : false),
    ArrowDown: () => (focused && !inViewer ? moveFocus(focused, 'ArrowDown') : false),
  }[event.key];
  if (run && run() !== false) event.preventDefault();
}

function listenToViewer() {
  document.addEventListener('keydown', onKey);
  $('viewer').addEventListener('close', () => {
    keepAddress('');
    const tileNow = current && $('tiles').querySelector(`[data-key="${CSS.escape(current.key)}"]`);
    (tileNow ?? opener)?.focus();
  });
  listeners.push(markTiles, showTray, showComparison, showChosen, markViewer);
}
