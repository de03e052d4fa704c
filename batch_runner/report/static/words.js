// Looks up words in the reader's language, and writes times as its readers do.

const WORDS = %%words%%; // of report/words.py, by language

let language = 'en';

function say(word, ...values) {
  const text = WORDS[language][word] ?? word;
  return text.replace(/\{(\d)\}/g, (_, index) => values[index]);
}

function sayCount(count) {
  return count === 1 ? say('item') : say('items', count.toLocaleString(language));
}

function clock(seconds, timeStyle = 'short') {
  const format = { dateStyle: 'medium', timeStyle };
  return new Date(seconds * 1000).toLocaleString(language, format);
}

// A duration as `duration` in util/text.py writes it.
function span(seconds) {
  if (!(seconds >= 0)) return '–';
  const [hour, minute, second] = say('units').split(' ');
  if (seconds < 9.95) return `${seconds.toFixed(1)} ${second}`;
  const rounded = Math.round(seconds);
  if (rounded < 60) return `${rounded} ${second}`;
  const [large, small, big, little] = rounded < 3600
    ? [Math.floor(rounded / 60), rounded % 60, minute, second]
    : [Math.floor(rounded / 3600), Math.floor((rounded % 3600) / 60), hour, minute];
  return `${large} ${big} ${String(small).padStart(2, '0')} ${little}`;
}
