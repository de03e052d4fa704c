// The shared page: its images are in the markup, so that it needs no other file.

const tiles = [...document.querySelectorAll('.tile')];
const marked = new Set(); // numbers such as "#7"
const storageName = `batch-runner:shared:${document.documentElement.dataset.page}`;
let current = null; // the tile in the viewer

const numberOf = (one) => one.querySelector('.name').textContent;
const list = () => [...new Set(tiles.map(numberOf))].filter((number) => marked.has(number));

function toggle(number) {
  if (!marked.delete(number)) marked.add(number);
  try { localStorage.setItem(storageName, JSON.stringify([...marked])); } catch { /* storage is disabled */ }
  showMarks();
}

function showMarks() {
  for (const one of tiles) {
    one.classList.toggle('favourite', marked.has(numberOf(one)));
    one.setAttribute('aria-label', say('image', numberOf(one)));
    one.setAttribute('aria-description', marked.has(numberOf(one)) ? say('favourite') : '');
  }
  $('viewer').querySelector('.star')?.setAttribute('aria-pressed', String(marked.has(numberOf(current))));
  $('tray').hidden = marked.size === 0;
  $('tray').setAttribute('aria-label', say('chosen'));
  const copy = make('button', { type: 'button', class: 'primary' }, say('copy_list'));
  copy.addEventListener('click', () => copyText(list().join('\n'), copy, 'copy_list'));
  $('tray').replaceChildren(make('span', {}, say('marked', list().length)), copy,
    make('button', { type: 'button', onclick: () => download('favourites.txt', 'text/plain', `${list().join('\n')}\n`) }, say('save_list')));
}

function open(one) {
  current = one;
  const index = tiles.indexOf(one);
  const focused = document.activeElement?.dataset?.action;
  const action = (word, onclick, more = {}) => make('button', { type: 'button', 'data-action': word, onclick, ...more }, say(word));
  $('viewer').replaceChildren(
    make('header', { class: 'viewer-head' }, make('h2', { id: 'viewer-title' }, say('image', numberOf(one))),
      make('span', { class: 'soft' }, say('of', index + 1, tiles.length)),
      make('span', { class: 'row end' },
        action('previous', () => step(-1), { disabled: index === 0 }),
        action('next_item', () => step(1), { disabled: index === tiles.length - 1 }),
        action('favourite', () => toggle(numberOf(current)), { class: 'star' }),
        action('close', () => $('viewer').close()))),
    make('div', { class: 'stage' }, make('img', { src: one.querySelector('img').src, alt: say('image', numberOf(one)) })));
  if (!$('viewer').open) $('viewer').showModal();
  ($('viewer').querySelector(`[data-action="${focused}"]:not([disabled])`) ?? $('viewer').querySelector('[data-action=close]')).focus();
  showMarks();
}

function step(by) {
  const next = tiles[tiles.indexOf(current ?? document.activeElement) + by];
  if (!next) return;
  if ($('viewer').open) open(next);
  else next.focus();
}

function showAll() {
  document.documentElement.lang = language === 'zh' ? 'zh-Hans' : 'en';
  $('language').textContent = language === 'zh' ? 'English' : '中文';
  $('language').title = say('otherLabel');
  $('language').lang = language === 'zh' ? 'en' : 'zh-Hans';
  $('count').textContent = tiles.length === 1 ? say('shared_one') : say('shared_count', tiles.length);
  $('hint').textContent = say('shared_hint');
  $('keys').textContent = say('shared_keys');
  showMarks();
}

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const one = $('viewer').open ? current : event.target.closest?.('.tile');
  if (!one) return;
  if (event.key === 'f') toggle(numberOf(one));
  if (event.key === 'ArrowLeft') step(-1);
  if (event.key === 'ArrowRight') step(1);
});
$('viewer').addEventListener('close', () => { current?.focus(); current = null; });
$('language').addEventListener('click', () => { language = language === 'zh' ? 'en' : 'zh'; showAll(); });
try { for (const number of JSON.parse(localStorage.getItem(storageName) ?? '[]')) marked.add(number); } catch { /* storage is disabled */ }
for (const one of tiles) one.addEventListener('click', () => open(one));
language = (document.documentElement.dataset.language || navigator.language).toLowerCase().startsWith('zh') ? 'zh' : 'en';
showAll();
document.documentElement.dataset.ready = 'true';
