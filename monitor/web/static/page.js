// The page for the phone. It draws what the server sends; the words come from there, too.

const QUIET_MS = 25000; // The server sends something every 10 s. After this silence, connect again.
const RETRY_MS = 3000;
const HIDDEN_MS = 30000; // A browser has six connections for all its tabs: a hidden one gives its own back.
const MARK_RETRY_MS = 5000;
const MARK_GIVE_UP_MS = 15 * 60000; // The monitor takes a mark later, too: it has its own time.
const LETTERS = {W: 'W', N1: '1', N2: '2', N3: '3', R: 'R'};
const ROWS = [['Awake', 'W', 'W'], ['Dreaming', 'R', 'R'], ['Light', '12', 'N2'], ['Deep', '3', 'N3']];
const SHARES = ['W', 'N1', 'N2', 'N3', 'R']; // the order of the probabilities
const STACK = [['R', 4], ['N1', 1], ['N2', 2], ['N3', 3]]; // below W, from the top
const SYMBOLS = {lights_off: '▼', lights_on: '▲', note: '◆'};

const byId = (id) => document.getElementById(id);
const cards = new Map(); // key of a sleeper: {row, element, night}
let order = [];
let monitor = {monitor: 'running', problem: '', utc_offset_min: -new Date().getTimezoneOffset()};
let lastEvent = ''; // the id of the newest event
let heardAt = 0; // when the server was heard last, on this phone's clock; 0: never
let clockOffsetMs = 0; // the server's clock minus this phone's
let source = null;
let retryTimer = 0;
let hiddenTimer = 0;
let wokeAt = 0;

// Elements

function svg(name, attributes = {}, text = '') {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
}

function html(name, text = '', className = '') {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = className;
  return made;
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// The words have the monitor's clock, so all times have: a container's clock is often UTC.
const shiftMs = (row) => {
  const own = -new Date().getTimezoneOffset() * 60000, shown = 60000 * monitor.utc_offset_min;
  return row && row.mode === 'replay' ? 0 : shown === own ? null : shown;
};

function timeText(when, row) {
  const shift = shiftMs(row), style = {hour: '2-digit', minute: '2-digit'};
  if (shift === null) return new Date(when).toLocaleTimeString('en-GB', style);
  return new Date(new Date(when).getTime() + shift).toLocaleTimeString('en-GB', {...style, timeZone: 'UTC'});
}

// The connection

function connect() {
  clearTimeout(retryTimer);
  if (source) source.close();
  source = new EventSource('api/v1/events' + (lastEvent ? `?after=${lastEvent}` : ''));
  source.onmessage = heard((event) => {
    lastEvent = event.lastEventId || lastEvent;
    take(JSON.parse(event.data), event.lastEventId);
  });
  const named = {
    beat: (data) => { clockOffsetMs = Date.parse(data.utc) - Date.now(); },
    now: takeRow,
    monitor: takeMonitor,
    reset: () => { for (const card of cards.values()) card.night = null; drawSoon(); },
  };
  for (const [name, take] of Object.entries(named)) {
    source.addEventListener(name, heard((event) => take(JSON.parse(event.data))));
  }
  source.onerror = () => {
    // The browser would try again by itself after some errors only, and not after a long sleep.
    source.close();
    clearTimeout(retryTimer);
    retryTimer = setTimeout(reconnect, RETRY_MS);
    showConnection();
  };
}

function heard(take) {
  return (event) => {
    const wasAway = !isConnected();
    heardAt = Date.now();
    take(event);
    if (wasAway) { showConnection(); sendMarks(); loadNights(); }
  };
}

async function reconnect() {
  if (document.visibilityState !== 'visible') return; // wake() does it
  try {
    const answer = await fetch('api/v1/now');
    if (answer.status === 401) { showLocked(); retryTimer = setTimeout(reconnect, 10 * RETRY_MS); return; }
  } catch { /* connect() tries again, and fails again */ }
  connect();
}

const isConnected = () => heardAt > 0 && Date.now() - heardAt < QUIET_MS && source && source.readyState === 1;

function showLocked() {
  setText(byId('connection'), 'This browser has no key to the monitor. Open the link or the QR code that the monitor shows.');
  byId('connection').className = 'away';
}

function showConnection() {
  const place = byId('connection');
  let text = '';
  if (!isConnected()) {
    text = heardAt && Date.now() - wokeAt > RETRY_MS ? `No connection since ${timeText(heardAt)}. Trying again …` : 'Connecting …';
  } else if (monitor.monitor === 'away') {
    text = 'The monitor is not running, or its event server does not answer.';
  } else if (order.length === 0) {
    text = 'No night is being monitored.';
  }
  if (isConnected() && monitor.problem) text = monitor.problem;
  setText(place, text);
  place.className = text && text !== 'Connecting …' ? 'away' : '';
  byId('sleepers').classList.toggle('stale', !isConnected() || monitor.monitor === 'away');
}

function check() {
  setText(byId('clock'), timeText(Date.now()));
  if (source && source.readyState === 1 && Date.now() - heardAt > QUIET_MS) connect();
  showConnection();
}

function rest() {
  clearTimeout(retryTimer);
  if (source) source.close();
  source = null;
}

function wake() {
  clearTimeout(hiddenTimer);
  if (document.visibilityState !== 'visible') {
    hiddenTimer = setTimeout(rest, HIDDEN_MS);
    return;
  }
  // A phone that slept keeps a dead connection, and its timers did not run.
  if (Date.now() - heardAt > 12000 || !source || source.readyState !== 1) {
    wokeAt = Date.now();
    reconnect();
  }
  check();
  drawSoon();
}

// What the server sends

function takeMonitor(data) {
  monitor = data;
  order = data.keys;
  for (const [key, card] of cards) {
    if (!order.includes(key)) { card.element.remove(); cards.delete(key); }
  }
  showConnection();
}

function takeRow(row) {
  let card = cards.get(row.key);
  if (!card) {
    card = {element: makeCard(row.key), night: null, row: null, loading: false, early: []};
    cards.set(row.key, card);
    byId('sleepers').append(card.element);
    const places = [...cards.keys()].sort((a, b) => order.indexOf(a) - order.indexOf(b));
    for (const key of places) byId('sleepers').append(cards.get(key).element);
  }
  if (card.row && card.row.phase !== row.phase) loadNights();
  card.row = row;
  byId('sleepers').classList.toggle('one', cards.size === 1);
  drawRow(card);
  drawSoon();
}

function take(event, id) {
  const session = decodeURIComponent(event.source.split('/').pop());
  const card = cards.get(session);
  if (!card) return;
  if (!card.night) { // it may be on its way, without this event
    if (card.loading) card.early.push([event, id]);
    return;
  }
  if (!isAfter(id, card.night.last_event)) return;
  const {data, type} = event;
  if (type.startsWith('sleep-monitor.stage.v1')) takeStage(card.night, data);
  if (type.startsWith('sleep-monitor.mark.v1')) card.night.marks.push({kind: data.kind, time: event.time, text: data.text || ''});
  if (type.startsWith('sleep-monitor.session.started')) card.night = null;
  drawSoon();
}

function isAfter(id, other) {
  const [[time, count], [otherTime, otherCount]] = [id, other].map((each) => each.split('-').map(Number));
  return time > otherTime || (time === otherTime && count > otherCount);
}

function takeStage(night, data) {
  const n = data.epoch_index;
  if (data.track === 'live' && n < night.stages.length) return; // it was there already
  while (night.stages.length <= n) { night.stages.push('?'); night.percent.push(null); }
  night.stages[n] = LETTERS[data.stage] || '?';
  night.percent[n] = data.probabilities && SHARES.map((stage) => Math.round(100 * data.probabilities[stage]));
}

async function loadNight(card) {
  card.loading = true;
  try {
    const answer = await fetch(`api/v1/sessions/${encodeURIComponent(card.row.session)}`);
    if (answer.ok) {
      const night = await answer.json();
      card.night = {...night, stages: [...night.stages], startMs: Date.parse(night.start_utc)};
      if (!lastEvent) lastEvent = night.last_event;
    }
  } catch { /* the next change loads it again */ }
  card.loading = false;
  for (const [event, id] of card.early.splice(0)) take(event, id);
  if (card.night) drawSoon();
}

async function loadNights() {
  let nights = [];
  try {
    const answer = await fetch('api/v1/nights');
    if (!answer.ok) return;
    ({nights} = await answer.json());
  } catch { return; }
  byId('nights').hidden = nights.length === 0;
  byId('nights').querySelector('ul').replaceChildren(...nights.map(nightLine));
}

function nightLine(night) {
  const line = html('li');
  const who = night.sleeper ? `, ${night.sleeper}` : '';
  const title = night.evening + who;
  const name = night.report ? html('a', title) : html('span', title);
  if (night.report) name.href = night.report;
  line.append(name, html('span', `${timeText(night.start_utc)} to ${timeText(night.end_utc)}`));
  if (night.asleep_min) line.append(html('span', `asleep ${night.asleep}`), html('span', `deep ${night.deep}`), html('span', `dreaming ${night.dreaming}`));
  if (night.state !== 'ended' || night.is_test) line.append(html('span', night.is_test ? 'a test' : night.state));
  return line;
}

// A sleeper

function makeCard(key) {
  const element = byId('card').content.firstElementChild.cloneNode(true);
  element.querySelectorAll('[data-kind]').forEach((button) => {
    button.addEventListener('click', () => leaveMark(key, button.dataset.kind));
  });
  element.querySelector('form').addEventListener('submit', (event) => {
    event.preventDefault();
    const input = event.target.elements.text;
    if (input.value.trim()) leaveMark(key, 'note', input.value.trim());
    input.value = '';
  });
  return element;
}

function drawRow({row, element}) {
  const find = (name) => element.querySelector(name);
  const {stage, trouble} = row;
  setText(find('.name'), row.sleeper);
  setText(find('.word'), row.phase === 'gone' ? 'No monitor' : stage.word);
  find('.word').className = `word ${stage.tone} ${stage.tone === 'stage' ? stage.plain : ''}`;
  setText(find('.sentence'), stage.sentence);
  const since = trouble && trouble.since_utc ? `Since ${timeText(trouble.since_utc, row)}: ` : '';
  setText(find('.trouble'), trouble ? since + trouble.text : '');
  find('.trouble').className = `trouble ${trouble ? trouble.level : ''}`;
  find('.lines').replaceChildren(...row.lines.map((line) => html('li', line)));
  find('.electrodes').hidden = row.electrodes.length === 0;
  drawHead(find('.head'), find('.electrodes figcaption'), row);
  find('.marks').hidden = row.mode === 'replay' || row.phase === 'gone' || row.phase === 'ended';
}

function drawHead(head, caption, row) {
  const shown = JSON.stringify(row.electrodes);
  if (head.dataset.shown === shown) return;
  head.dataset.shown = shown;
  const parts = [
    svg('circle', {r: 1, class: 'line'}),
    svg('path', {d: 'M-.14-.99L0-1.2 .14-.99', class: 'line'}),
    svg('path', {d: 'M-.99-.16C-1.14-.2-1.14.26-.97.22M.99-.16C1.14-.2 1.14.26.97.22', class: 'line'}),
  ];
  for (const {name, contact, at} of row.electrodes) {
    if (!at) continue;
    const [x, y] = [at[0], -at[1]];
    parts.push(svg('circle', {cx: x, cy: y, r: .1, class: contact}));
    if (contact === 'poor') parts.push(svg('circle', {cx: x, cy: y, r: .04, class: 'poor core'}));
    if (contact === 'off') parts.push(svg('path', {d: `M${x - .05} ${y - .05}l.1 .1m0-.1l-.1 .1`, class: 'off'}));
    parts.push(svg('text', {x: Math.max(-1.05, Math.min(1.05, x)), y: y + .3, class: contact === 'good' ? '' : contact}, name));
  }
  head.replaceChildren(...parts);
  head.toggleAttribute('hidden', !row.electrodes.some((each) => each.at));
  const words = row.electrodes.map(({name, contact, words}) => `${name} ${contact}, ${words}`);
  head.setAttribute('aria-label', `Head seen from above. ${words.join('. ')}`);
  const list = html('ul');
  list.append(...row.electrodes.map(({name, contact, words}) => html('li', contact === 'good' ? name : `${name}: ${words}`, `contact ${contact}`)));
  caption.replaceChildren(list);
}

// The night so far

let drawing = 0;
function drawSoon() {
  if (!drawing) drawing = setTimeout(() => { drawing = 0; drawNights(); }, 200);
}

function drawNights() {
  if (document.visibilityState !== 'visible') return;
  for (const card of cards.values()) {
    const {row, night, element} = card;
    const figure = element.querySelector('.night');
    figure.hidden = !night || night.stages.length === 0;
    if (!night && row.session && !card.loading) loadNight(card);
    if (!figure.hidden) drawNight(figure, night, row);
  }
}

function drawNight(figure, night, row) {
  const [stages, shares] = figure.querySelectorAll('svg');
  const n = night.stages.length;
  const words = row.totals.map(([name, time]) => `${name} ${time}`).join(', ');
  stages.setAttribute('aria-label', `Stages so far: ${words}`);
  shares.setAttribute('aria-label', 'How probable each stage was');
  const box = stages.getBoundingClientRect();
  const width = Math.max(200, box.width), left = 66, right = 4;
  const x = (index) => left + (width - left - right) * index / Math.max(n, 20);
  drawStages(stages, night, row, width, Math.max(100, box.height), left, x);
  drawShares(shares, night, width, Math.max(40, shares.getBoundingClientRect().height), left, x);
  const caption = figure.querySelector('figcaption');
  const keys = {Awake: 'W', Dreaming: 'R', Light: 'N2', Deep: 'N3'};
  caption.replaceChildren(...row.totals.map(([name, time]) => html('span', `${name} ${time}`, `key-${keys[name]}`)));
}

function drawStages(place, night, row, width, height, left, x) {
  place.setAttribute('viewBox', `0 0 ${width} ${height}`);
  const top = 22, bottom = height - 20, step = (bottom - top) / (ROWS.length - 1);
  const parts = [];
  ROWS.forEach(([name], index) => {
    const y = top + index * step;
    parts.push(svg('line', {x1: left, x2: width - 4, y1: y, y2: y, class: 'rule'}));
    parts.push(svg('text', {x: 0, y: y + 4}, name));
  });
  drawHours(parts, night, row, x, height, bottom);
  const rowOf = (letter) => ROWS.findIndex(([, letters]) => letters.includes(letter));
  const runs = [];
  night.stages.forEach((letter, index) => {
    const kind = letter === '?' ? -1 : rowOf(letter);
    const last = runs.at(-1);
    if (last && last.kind === kind) last.end = index + 1;
    else runs.push({kind, start: index, end: index + 1});
  });
  let path = '', before = -1;
  const bars = [];
  for (const {kind, start, end} of runs) {
    const wide = Math.max(1, x(end) - x(start));
    if (kind < 0) {
      bars.push(svg('rect', {x: x(start), y: top - 5, width: wide, height: bottom - top + 10, class: 'none'}));
    } else {
      const y = top + kind * step;
      path += before < 0 ? `M${x(start).toFixed(1)} ${y}` : `V${y}`;
      path += `H${x(end).toFixed(1)}`;
      bars.push(svg('rect', {x: x(start), y: y - 4, width: wide, height: 8, class: ROWS[kind][2]}));
    }
    before = kind;
  }
  parts.push(svg('path', {d: path, class: 'step'}), ...bars);
  for (const mark of night.marks) {
    const index = (Date.parse(mark.time) - night.startMs) / (1000 * night.epoch_s);
    const sign = svg('text', {x: x(Math.max(0, Math.min(index, night.stages.length))) - 5, y: 11}, SYMBOLS[mark.kind]);
    sign.append(svg('title', {}, `${timeText(mark.time, row)} ${mark.text || mark.kind.replace('_', ' ')}`));
    parts.push(sign);
  }
  place.replaceChildren(...parts);
}

function drawHours(parts, night, row, x, height, bottom) {
  const hours = night.stages.length / 120;
  const every = (hours < .5 ? 5 : hours < 1.5 ? 15 : hours < 4 ? 60 : 120) * 60000;
  const shift = shiftMs(row) ?? -new Date(night.startMs).getTimezoneOffset() * 60000;
  const first = Math.ceil((night.startMs + shift) / every) * every - shift;
  const epochMs = 1000 * night.epoch_s;
  const endMs = night.startMs + Math.max(night.stages.length, 20) * epochMs;
  for (let at = first; at <= endMs; at += every) {
    const place = x((at - night.startMs) / epochMs);
    parts.push(svg('line', {x1: place, x2: place, y1: bottom + 5, y2: bottom + 9, class: 'rule'}));
    if (place < x(Math.max(night.stages.length, 20)) - 14) parts.push(svg('text', {x: place - 15, y: height - 1}, timeText(at, row)));
  }
}

function drawShares(place, night, width, height, left, x) {
  place.setAttribute('viewBox', `0 0 ${width} ${height}`);
  const stack = svg('g'); // dimmed as a whole
  const n = night.percent.length;
  let start = 0;
  while (start < n) { // a run of epochs with a reading
    if (!night.percent[start]) { start += 1; continue; }
    let end = start;
    while (end < n && night.percent[end]) end += 1;
    const y = (share) => ((height - 4) * share / 100 + 2).toFixed(1);
    const outline = (below, name) => {
      // The ground of the whole stack is W; each next area lies over it, from its upper edge down.
      let path = `M${x(start).toFixed(1)} ${y(100)}`;
      for (let index = start; index < end; index += 1) {
        const edge = y(Math.min(100, below(night.percent[index])));
        path += `L${x(index).toFixed(1)} ${edge}H${x(index + 1).toFixed(1)}`;
      }
      stack.append(svg('path', {d: `${path}V${y(100)}Z`, class: name}));
    };
    outline(() => 0, 'W');
    STACK.forEach(([name], level) => {
      outline((p) => p[0] + STACK.slice(0, level).reduce((sum, [, at]) => sum + p[at], 0), name);
    });
    start = end;
  }
  place.replaceChildren(svg('text', {x: 0, y: height / 2 + 4}, 'Likely'), stack);
}

// Marks: each is sent until the monitor answers, and has one key, so that it is recorded once.

const MARKS = 'sleep-monitor-marks';
let sendingMarks = false;
let markTimer = 0;

const readMarks = () => { try { return JSON.parse(localStorage.getItem(MARKS)) || []; } catch { return []; } };
const writeMarks = (marks) => { try { localStorage.setItem(MARKS, JSON.stringify(marks)); } catch { /* a private window */ } };
let waitingMarks = readMarks();

function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

function leaveMark(cardKey, kind, text = '') {
  const {row} = cards.get(cardKey);
  const time = new Date(Date.now() + clockOffsetMs).toISOString();
  const mark = {key: newKey(), made: Date.now(), sleeper: row.sleeper, kind, text, time};
  waitingMarks.push(mark);
  writeMarks(waitingMarks);
  say(mark, 'being sent …');
  sendMarks();
}

async function sendMarks() {
  if (sendingMarks) return;
  sendingMarks = true;
  clearTimeout(markTimer);
  for (const mark of [...waitingMarks]) {
    const done = await sendMark(mark);
    if (done || Date.now() - mark.made > MARK_GIVE_UP_MS) {
      waitingMarks = waitingMarks.filter((each) => each.key !== mark.key);
      writeMarks(waitingMarks);
    }
  }
  sendingMarks = false;
  if (waitingMarks.length) markTimer = setTimeout(sendMarks, MARK_RETRY_MS);
}

async function sendMark(mark) {
  const {key, kind, text, time, sleeper} = mark;
  let answer, result;
  try {
    answer = await fetch('api/v1/marks', {
      method: 'POST',
      headers: {'Content-Type': 'application/json', 'Idempotency-Key': key},
      body: JSON.stringify({kind, time, ...(text ? {text} : {}), ...(sleeper ? {sleeper} : {})}),
    });
    result = await answer.json();
  } catch {
    say(mark, 'waits for a connection', true);
    return false;
  }
  if (answer.ok) { say(mark, 'recorded'); return true; }
  const reason = result.error || (result.refused || []).map((each) => each.reason).join('; ');
  say(mark, reason || `not recorded (${answer.status})`, true);
  return answer.status < 500 && answer.status !== 401 && answer.status !== 408;
}

function say(mark, text, wrong = false) {
  const card = [...cards.values()].find(({row}) => row.sleeper === mark.sleeper && row.mode === 'live');
  if (!card) return;
  const list = card.element.querySelector('.answers');
  let line = list.querySelector(`[data-key="${mark.key}"]`);
  if (!line) {
    line = html('li');
    line.dataset.key = mark.key;
    list.prepend(line);
    while (list.children.length > 4) list.lastElementChild.remove();
  }
  const name = mark.kind === 'note' ? `Note “${mark.text}”` : mark.kind === 'lights_off' ? 'Lights off' : 'Lights on';
  setText(line, `${name} at ${timeText(mark.time)}: ${text}`);
  line.className = wrong ? 'wrong' : '';
}

// Start

if (location.search.includes('token=')) history.replaceState(null, '', location.pathname);
for (const name of ['pageshow', 'online', 'focus']) addEventListener(name, wake);
document.addEventListener('visibilitychange', wake);
addEventListener('resize', drawSoon);
setInterval(check, 2000);
connect();
loadNights();
check();
