// How a result file is shown, by its kind. SVG and text (HTML) can hold scripts, which would run
// with the rights of this page's folder, so they are neither shown nor linked.

const SHOWN_BY_BROWSERS = /\.(png|jpg|webp|gif|bmp|avif|ico)$/;
const WITHOUT_LINK = ['svg', 'text'];

function fileSize(bytes) {
  const [number, unit] = bytes < 1e3 ? [bytes, 'B'] : bytes < 1e6 ? [bytes / 1e3, 'kB'] : [bytes / 1e6, 'MB'];
  return `${number.toLocaleString(language, { maximumFractionDigits: number < 10 ? 1 : 0 })} ${unit}`;
}

const fileKind = (kind, size) => `${say(`kind_${kind}`)} · ${fileSize(size)}`;

// A file in an object store has no link, which would need a key: its address is shown, and its
// thumbnail in place of the picture.
const fileAddress = (name) => (report.objects ? `${report.objects}${name}` : name);

function fileLink(name, kind, ...children) {
  if (report.objects || WITHOUT_LINK.includes(kind)) return make('span', {}, ...children);
  return make('a', { href: address(name), target: '_blank', rel: 'noopener' }, ...children);
}

// What a tile shows of a file: a thumbnail, or why there is none.
function filePreview(item, [name, thumbnail, state, kind, size]) {
  if (thumbnail || (state === 'later' && !report.objects && SHOWN_BY_BROWSERS.test(name))) {
    const source = thumbnail ? address(report.folder, 'thumbnails', thumbnail) : address(name);
    return make('img', { src: source, alt: item.prompt.slice(0, 120), loading: 'lazy', decoding: 'async' });
  }
  if (state !== 'other') return notShown(say(`image_${state ?? 'none'}`), item.reason);
  return make('span', { class: `no-image kind ${kind}` }, make('strong', {}, say(`kind_${kind}`)), fileSize(size));
}

function notShown(why, more) {
  return make('span', { class: 'no-image' }, make('strong', {}, why), more ? foreign(more) : null);
}

// A file in the viewer: as large as it is, with the browser's own controls if it plays.
function fullFile(item, file) {
  const [name, thumbnail, state, kind] = file;
  if (report.objects) return make('span', { class: 'file' }, filePreview(item, file), state === 'missing' ? null : foreign(fileAddress(name)));
  const label = `${say(`kind_${kind}`)}: ${name}`;
  if (state === 'other' && kind === 'video') return make('video', { src: address(name), controls: true, preload: 'none', 'aria-label': label });
  if (state === 'other' && kind === 'audio') return make('audio', { src: address(name), controls: true, preload: 'none', 'aria-label': label });
  if (['shown', 'large', 'later'].includes(state) && SHOWN_BY_BROWSERS.test(name)) {
    return fileLink(name, kind, make('img', { src: address(name), alt: item.prompt.slice(0, 300) }));
  }
  const link = state === 'missing' ? null : fileLink(name, kind, foreign(name));
  return make('span', { class: 'file' }, filePreview(item, file), link);
}
