// The contact sheet: one flat grid, or a table by one or two variables that shows empty cells.

const items = []; // of all shards loaded so far
const byKey = new Map();
const filter = { status: '', reason: undefined, text: '', only: '', values: [], rows: -1, columns: -1 };
const CHUNK = 480; // tiles added at once, so that the sections below stay within reach

let shown = []; // the items that pass the filters, in the order of the sheet
let pending = []; // tiles of the flat grid that are not in the page yet
let caption = null; // of the tiles in the sheet: a function
let captionScope = ''; // what it was made for

function chooseAxes() {
  filter.values = report.variables.map(() => '');
  const fits = report.variables
    .map((variable, index) => [variable.values?.length ?? Infinity, index])
    .filter(([count]) => count > 1 && count <= 24);
  if (fits.length === 0 || report.total > 2000) return;
  filter.rows = fits[0][1];
  filter.columns = fits.slice(1).find(([count]) => count <= 8)?.[1] ?? -1;
}

function picker(word, value, options, change, label = say(word)) {
  const select = make('select', {
    onchange: () => { change(select.value); showSheet(); },
  }, options.map(([id, text]) => make('option', { value: id }, text)));
  select.value = value;
  return make('label', {}, make('span', {}, label), select);
}

function focusSearch() {
  $('filter-box').open = true;
  $('search').focus();
}

function showFilters() {
  const search = make('input', { type: 'search', id: 'search', placeholder: say('searchHint') });
  search.value = filter.text;
  search.addEventListener('input', () => { filter.text = search.value.toLowerCase(); showSheet(); });
  const statuses = Object.keys(report.counts).map((one) => [one, `${say(`status_${one}`)} (${report.counts[one]})`]);
  const axes = [[-1, say('none')], ...report.variables
    .map((variable, index) => [index, variable.name])
    .filter(([index]) => report.variables[index].values)];
  const only = [['', say('all')], ['favourites', say('favourites')]];
  if (report.changes.length) only.push(['changed', say('changed')]);
  $('filters').replaceChildren(
    make('label', { class: 'wide' }, make('span', {}, say('search')), search),
    picker('status', filter.status, [['', say('all')], ...statuses], (value) => { filter.status = value; filter.reason = undefined; }),
    picker('only', filter.only, only, (value) => { filter.only = value; }),
    ...report.variables.flatMap((variable, index) => (variable.values?.length > 1
      ? [picker('', filter.values[index], [['', say('all')], ...variable.values.map((value) => [`=${value}`, value])],
        (value) => { filter.values[index] = value; }, variable.name)] : [])),
    ...(axes.length > 1 ? [
      picker('rows', filter.rows, axes, (value) => { filter.rows = Number(value); }),
      picker('columns', filter.columns, axes, (value) => { filter.columns = Number(value); }),
    ] : []),
    make('button', { type: 'button', class: 'quiet', id: 'reset', onclick: resetFilters }, say('reset')));
}

// On a narrow screen the filters are folded, so that the first images are in sight.
function foldFilters() {
  $('filter-box').open = !narrow.matches;
}

function resetFilters() {
  Object.assign(filter, { status: '', reason: undefined, text: '', only: '', values: report.variables.map(() => '') });
  showFilters();
  showSheet();
}

function showOnly(group) {
  resetFilters();
  Object.assign(filter, { status: group.status, reason: group.reason });
  showFilters();
  showSheet();
  $('sheet').focus();
  $('sheet').scrollIntoView();
}

function passes(item) {
  if (filter.status && item.status !== filter.status) return false;
  if (filter.reason !== undefined && item.reason !== filter.reason) return false;
  if (filter.only === 'favourites' && !isFavourite(item.key)) return false;
  if (filter.only === 'changed' && item.was === item.status) return false;
  if (filter.values.some((value, index) => value && value !== `=${item.values[index]}`)) return false;
  if (!filter.text) return true;
  const texts = [item.id, item.name, item.prompt, item.task, item.reason, item.message, choiceOf(item.key).note];
  const all = texts.map((text) => text?.toLowerCase() ?? '').join('\n');
  return filter.text.split(/\s+/)
    .every((word) => (/^#\d+$/.test(word) ? word === `#${item.number}` : all.includes(word))); // as in a shared page
}

const activeFilters = () => [filter.status, filter.text, filter.only, ...filter.values].filter(Boolean).length;
const isFiltered = () => activeFilters() > 0;

function showSheet() {
  shown = items.filter(passes);
  pending = [];
  const scope = [filter.rows, filter.columns, items.length].join();
  if (scope !== captionScope) [caption, captionScope] = [captions(), scope];
  $('filter-title').textContent = isFiltered() ? say('filters_active', activeFilters()) : say('filters');
  $('reset').hidden = !isFiltered() && filter.reason === undefined;
  const count = (number) => number.toLocaleString(language);
  $('found').textContent = shown.length ? say('found', count(shown.length), count(report.total)) : say('nothing');
  if (items.length < report.shown) $('found').append(' ', say('loading'));
  else if (report.shown < report.total) $('found').append(' ', say('left_out', count(report.shown)));
  if (filter.rows >= 0 || filter.columns >= 0) showTable();
  else showGrid();
}

// Returns what to write under an item: the variables that are no axis of the sheet, where they set
// it apart from the other items in its place, else its id. In a cell of its own it needs neither.
function captions() {
  const { rows, columns } = filter;
  const free = report.variables.map((_, index) => index)
    .filter((index) => index !== rows && index !== columns && report.variables[index].values?.length !== 1);
  const text = ({ values }) => free.filter((index) => (values[index] ?? null) !== null)
    .map((index) => (report.variables[index].name === 'n' ? `(${values[index]})` : values[index])).join(' · ');
  const place = (item) => JSON.stringify([item.values[rows] ?? null, item.values[columns] ?? null, text(item)]);
  const counts = new Map();
  for (const item of items) counts.set(place(item), (counts.get(place(item)) ?? 0) + 1);
  return (item) => (counts.get(place(item)) > 1 ? item.id : text(item) || (rows < 0 && columns < 0 ? item.id : ''));
}

function showGrid() {
  const grid = make('div', { class: 'grid' });
  pending = [...shown];
  $('tiles').replaceChildren(grid);
  addTiles(grid);
}

function addTiles(grid, count = CHUNK) {
  const added = pending.splice(0, count).map(tile);
  grid.append(...added);
  grid.nextElementSibling?.remove();
  if (pending.length > 0) grid.after(moreButton(grid));
  return added[0];
}

function moreButton(grid) {
  const left = pending.length.toLocaleString(language);
  // Focus the first new tile: the button is removed.
  return make('button', { type: 'button', class: 'more', onclick: () => addTiles(grid).focus() }, say('more', left));
}

function axisValues(index) {
  if (index < 0) return [null];
  const known = report.variables[index].values ?? [];
  const wanted = known.filter((value) => !filter.values[index] || filter.values[index] === `=${value}`);
  return items.some((item) => (item.values[index] ?? null) === null) ? [...wanted, null] : wanted;
}

function showTable() {
  const [rows, columns] = [axisValues(filter.rows), axisValues(filter.columns)];
  const cells = new Map();
  const place = (row, column) => JSON.stringify([row, column]);
  for (const item of shown) {
    const at = place(item.values[filter.rows] ?? null, item.values[filter.columns] ?? null);
    if (cells.has(at)) cells.get(at).push(item);
    else cells.set(at, [item]);
  }
  const full = (row) => columns.some((column) => cells.has(place(row, column)));
  const visible = isFiltered() ? rows.filter(full) : rows;
  shown = visible.flatMap((row) => columns.flatMap((column) => cells.get(place(row, column)) ?? []));
  const head = make('tr', {}, make('td', {}), columns.map((column) => make('th', { scope: 'col' }, axisLabel(column))));
  const body = visible.map((row) => make('tr', {}, make('th', { scope: 'row' }, axisLabel(row)),
    columns.map((column) => make('td', {}, tileCell(cells.get(place(row, column)))))));
  const table = make('table', { class: 'matrix' }, filter.columns >= 0 ? make('thead', {}, head) : null, make('tbody', {}, body));
  $('tiles').replaceChildren(make('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': say('table') }, table));
}

const axisLabel = (value) => foreign(value ?? '–');

function tileCell(found) {
  if (!found) return isFiltered() ? '' : make('span', { class: 'empty-cell' }, say('no_item'));
  return make('div', { class: 'cell' }, found.map(tile));
}

// A tile is a button with the thumbnail, or with the reason why there is none.
function tile(item) {
  const text = caption(item);
  const button = make('button', {
    type: 'button', class: `tile ${item.status}`, title: item.id, 'data-key': item.key,
    'aria-label': text === item.id ? text : `${text} ${item.id}`.trim(),
    'aria-description': `${say(`status_${item.status}`)}: ${item.prompt.slice(0, 120)}`,
    onclick: () => openItem(item),
  }, preview(item), text ? make('span', { class: 'name' }, foreign(text)) : null);
  markTile(button, item.key);
  return button;
}

function preview(item) {
  if (item.files.length > 0) return filePreview(item, item.files[0]);
  return notShown(say(`status_${item.status}`), item.listed ? item.reason : say('unlisted'));
}

function markTile(button, key) {
  button.classList.toggle('favourite', isFavourite(key));
  button.classList.toggle('compared', compared.includes(key));
}

function markTiles() {
  for (const button of $('tiles').querySelectorAll('.tile')) markTile(button, button.dataset.key);
}

function moveFocus(from, key) {
  const tiles = [...$('tiles').querySelectorAll('.tile')];
  const here = from.getBoundingClientRect();
  const index = tiles.indexOf(from);
  if (key === 'ArrowRight') return tiles[index + 1]?.focus();
  if (key === 'ArrowLeft') return tiles[index - 1]?.focus();
  const down = key === 'ArrowDown';
  const candidates = down ? tiles.slice(index + 1) : tiles.slice(0, index).reverse();
  return candidates.find((one) => {
    const box = one.getBoundingClientRect();
    const otherLine = down ? box.top > here.top + 8 : box.top < here.top - 8;
    return otherLine && Math.abs(box.left - here.left) < here.width / 2;
  })?.focus();
}
