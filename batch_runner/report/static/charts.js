// Charts as plain SVG, each with a sentence that states the same.

const CHART = { width: 320, height: 120, floor: 104 };

function showFigures() {
  const samples = report.runs.at(-1)?.samples ?? [];
  const charts = [];
  for (const [word, column] of [['chart_rate', 1], ['chart_limited', 3]]) {
    const values = samples.map((row) => row[column]);
    if (values.some(Boolean)) charts.push(perMinute(word, values));
  }
  // Rejected items were never accepted and have no time at the service.
  const times = items.filter(({ times: [, from, to] }) => from && to >= from)
    .map(({ times: [, from, to] }) => to - from).sort((a, b) => a - b);
  if (times.length > 1) charts.push(durations(times));
  if (report.price && report.runs.length > 1) charts.push(costs());
  $('charts').replaceChildren(...charts);
  $('runs').replaceChildren(runTable());
  $('runs').setAttribute('aria-label', say('runs_label'));
}

function bars(title, sentence, values, labels, format = String) {
  const { width, height, floor } = CHART;
  const most = Math.max(...values, 0);
  const step = width / Math.max(values.length, 16);
  const svg = makeSvg('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': sentence });
  values.forEach((value, index) => {
    const tall = most ? (value / most) * (floor - 16) : 0;
    const bar = makeSvg('rect', {
      x: index * step + step * 0.1, y: floor - tall, width: Math.max(step * 0.8, 0.5), height: tall, rx: Math.min(2, step / 4), class: 'value',
    });
    bar.append(makeSvg('title', {}, format(value)));
    svg.append(bar);
  });
  const text = (x, y, anchor, words) => makeSvg('text', { x, y, 'text-anchor': anchor }, words);
  svg.append(makeSvg('line', { x1: 0, x2: width, y1: floor, y2: floor, class: 'axis' }),
    text(0, height - 3, 'start', labels[0]), text(Math.max(step * values.length, 90), height - 3, 'end', labels[1]), text(width, 10, 'end', format(most)));
  return make('figure', { class: 'chart' }, make('figcaption', {}, title), svg, make('p', { class: 'soft' }, sentence));
}

// Sampled rates have no use for more than two digits.
const rounded = (value) => (value < 10 ? Number(value.toPrecision(2)) : Math.round(value));

function perMinute(word, values) {
  const most = rounded(Math.max(...values));
  const samples = report.runs.at(-1).samples;
  return bars(say(word), say('chart_most', most), values, ['0', span(samples.at(-1)[0])], rounded);
}

function durations(times) {
  const at = (share) => times[Math.min(times.length - 1, Math.floor(share * times.length))];
  const longest = times.at(-1);
  const counts = Array(Math.min(24, Math.max(4, times.length))).fill(0);
  for (const time of times) counts[Math.min(counts.length - 1, Math.floor((time / (longest || 1)) * counts.length))] += 1;
  return bars(say('chart_durations'), say('chart_median', span(at(0.5)), span(at(0.9))), counts, ['0', span(longest)]);
}

function costs() {
  const [amount, currency] = report.price;
  const values = report.runs.map((run) => run.submissions * amount);
  const money = (value) => `${value.toFixed(2)} ${currency}`;
  const all = values.reduce((sum, value) => sum + value, 0);
  const sentence = say('chart_all', money(all));
  return bars(say('chart_cost'), sentence, values, ['1', String(values.length)], money);
}

function runTable() {
  const columns = Object.entries({
    run: (run) => run.run,
    began: (run) => clock(run.started_at),
    took: (run) => (run.ended_at ? span(run.ended_at - run.started_at) : '–'),
    submissions: (run) => run.submissions,
    polls: (run) => run.polls,
    limited: (run) => run.limited,
    retries: (run) => run.retries,
    message: (run) => run.message ?? say('unfinished_run'),
  }).filter(([, value]) => report.runs.some(value)); // not those with zeros only
  const rows = [...report.runs].reverse().map((run) => make('tr', {},
    columns.map(([, value]) => make('td', {}, String(value(run))))));
  return make('table', { class: 'plain' },
    make('thead', {}, make('tr', {}, columns.map(([word]) => make('th', { scope: 'col' }, say(word))))), make('tbody', {}, rows));
}
