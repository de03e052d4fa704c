// The page above the images: summary, next commands, problems, changes.

function showHead() {
  $('summary').textContent = report.summary[language];
  $('written').textContent = say('written', clock(report.written));
  for (const element of document.querySelectorAll('[data-say]')) {
    element.textContent = say(element.dataset.say);
  }
  $('rehearsal').hidden = !report.job.rehearsal;
  $('figures').hidden = report.runs.length === 0;
  showBar();
  showCommands();
  showProblems();
  showChanges();
  showContents();
}

function showContents() {
  const sections = [...document.querySelectorAll('main > section')].filter((one) => !one.hidden);
  $('contents').setAttribute('aria-label', say('contents'));
  $('contents').firstElementChild.replaceChildren(...sections.map(({ id }) =>
    make('li', {}, make('a', { href: `#${id}` }, say(id)))));
}

function showBar() {
  const parts = Object.entries(report.counts);
  const words = parts.map(([status, count]) => `${count} ${say(`status_${status}`)}`);
  $('bar').setAttribute('aria-label', words.join(', '));
  $('bar').replaceChildren(...parts.map(([status, count]) => {
    const part = make('span', { class: `part ${status}` });
    part.style.flexGrow = count;
    return part;
  }));
  $('legend').replaceChildren(...parts.map(([status], index) =>
    make('li', {}, make('span', { class: `dot ${status}` }), words[index])));
}

function showCommands() {
  $('next').hidden = report.commands.length === 0;
  $('commands').replaceChildren(...report.commands.map(([name, command]) =>
    make('li', {}, make('p', {}, say(`why_${name}`)), commandLine(command))));
}

function commandLine(command) {
  const button = make('button', { type: 'button', 'aria-label': say('copyLabel', command) }, say('copy'));
  button.addEventListener('click', () => copyText(command, button));
  // Lines break between words; a word that is longer than a line, after a separator.
  const words = command.split(' ').flatMap((word) => [' ', make('span', {}, breakable(word))]).slice(1);
  return make('div', { class: 'command' }, make('code', { tabindex: 0 }, words), button);
}

function showProblems() {
  $('problems').hidden = report.problems.length === 0;
  $('groups').replaceChildren(...report.problems.map(problemGroup));
}

function problemGroup(group) {
  const rest = group.count - group.members.length;
  const summary = make('summary', {},
    make('span', { class: `dot ${group.status}` }),
    make('span', { class: 'what' }, `${say(`status_${group.status}`)}: `,
      foreign(group.reason ?? say('no_reason'))),
    make('span', { class: 'count' }, sayCount(group.count)),
    make('span', { class: 'owner' }, say(`owner_${group.owner}`)));
  return make('details', { class: 'group', open: report.problems.length <= 6 && !narrow.matches }, summary,
    make('p', {}, say(['held', 'done'].includes(group.status) ? `advice_${group.status}` : `advice_${group.owner}`)),
    commandLine(group.command),
    make('ul', { class: 'members' }, group.members.map((member) => problemMember(group, member)),
      rest > 0 ? make('li', {}, say('and_more', rest)) : null),
    make('button', { type: 'button', class: 'quiet', onclick: () => showOnly(group) }, say('show_these')));
}

function problemMember(group, [key, id, source, message, startedAt]) {
  return make('li', {},
    make('button', { type: 'button', class: 'link', onclick: () => openByKey(key) }, foreign(id)),
    source ? make('code', {}, foreign(source)) : null,
    group.status === 'held' && startedAt ? make('span', {}, say('sent', clock(startedAt))) : null,
    message ? foreign(message) : null);
}

function showChanges() {
  $('changes').hidden = report.changes.length === 0;
  $('change-list').replaceChildren(...report.changes.map(([was, now, count]) => make('li', {},
    make('strong', {}, String(count)), ` ${say(`status_${was ?? 'new'}`)} → ${say(`status_${now}`)}`)));
}
