// Builds elements. Text from the journal only becomes text nodes or attribute values.

const $ = (id) => document.getElementById(id);

const narrow = matchMedia('(max-width: 46rem)'); // as in report.css

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

function makeSvg(tag, attributes = {}, ...children) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// The URL of a file name from the journal, relative to the page.
function address(...parts) {
  return parts.join('/').split('/').map(encodeURIComponent).join('/');
}

// A name or path that may break after its separators, which browsers do not do at underscores.
function breakable(text) {
  const parts = text.match(/[^_\-/\\.:=,]*[_\-/\\.:=,]+|[^_\-/\\.:=,]+/g) ?? [];
  return parts.flatMap((part) => [make('wbr'), part]).slice(1);
}

// Text of unknown direction, isolated so that it does not reorder its neighbours.
function foreign(text, tag = 'bdi') {
  return make(tag, { dir: 'auto' }, breakable(text ?? ''));
}

function loadScript(name) {
  return new Promise((resolve, reject) => {
    const script = make('script', { src: address(report.folder, name), onload: resolve });
    script.addEventListener('error', () => reject(new Error(name)));
    document.head.append(script);
  });
}

async function copyText(text, button, word = 'copy') {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = make('textarea', { class: 'offscreen', 'aria-hidden': 'true' });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
    button.focus();
  }
  button.textContent = say('copied');
  setTimeout(() => { button.textContent = say(word); }, 1500);
}

function download(name, type, text) {
  const link = make('a', { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
