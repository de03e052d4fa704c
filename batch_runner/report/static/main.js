// Starts the page.

const report = window.batchReport.head;

function chooseLanguage() {
  let stored = null;
  try { stored = localStorage.getItem('batch-runner:language'); } catch { /* storage is disabled */ }
  const wanted = stored || document.documentElement.dataset.language || navigator.language || 'en';
  language = wanted.toLowerCase().startsWith('zh') ? 'zh' : 'en';
}

function switchLanguage() {
  language = language === 'zh' ? 'en' : 'zh';
  try { localStorage.setItem('batch-runner:language', language); } catch { /* storage is disabled: lasts until the reload */ }
  showAll();
}

function showAll() {
  document.documentElement.lang = language === 'zh' ? 'zh-Hans' : 'en';
  $('language').textContent = language === 'zh' ? 'English' : '中文';
  $('language').title = say('otherLabel');
  $('language').lang = language === 'zh' ? 'en' : 'zh-Hans';
  showHead();
  showFilters();
  showSheet();
  showChosen();
  showTray();
  showFigures();
}

async function loadItems() {
  for (const [index, name] of report.shards.entries()) {
    await loadScript(name);
    for (const item of window.batchReport[`items-${index}`]) {
      items.push(item);
      byKey.set(item.key, item);
    }
    // Show the first shard at once, the others when all are loaded.
    if (index === 0 && report.shards.length > 1) showSheet();
  }
}

async function start() {
  chooseLanguage();
  loadChoices();
  chooseAxes();
  listenToViewer();
  $('language').addEventListener('click', switchLanguage);
  foldFilters();
  narrow.addEventListener('change', foldFilters);
  $('filters').addEventListener('submit', (event) => event.preventDefault());
  window.addEventListener('beforeprint', () => {
    const grid = $('tiles').querySelector('.grid');
    if (grid) addTiles(grid, Infinity);
    for (const image of $('tiles').querySelectorAll('img')) image.loading = 'eager';
  });
  showAll();
  await loadItems();
  showAll();
  openFromAddress();
  document.documentElement.dataset.ready = 'true';
}

start();
