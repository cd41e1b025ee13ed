// What has been shown is kept: histories are only ever added to, also across a lost connection and another server process.

const MOST_POINTS = 2000;

export class Histories {
  constructor() {
    this.known = new Map();
    this.startedAt = 0;
  }

  of(kind, name) {
    return this.known.get(`${kind} ${name}`) ?? { t: [] };
  }

  /** The moment up to which everything named is known; 0 where something is not. */
  since(names) {
    const ends = names.map(({ kind, name }) => this.of(kind, name).t.at(-1) ?? 0);
    return ends.length ? Math.min(...ends) : 0;
  }

  /** Takes what a server sends. What a process that started later cannot know is a gap, not a line. */
  merge(fetched) {
    const restarted = this.startedAt && fetched.startedAt > this.startedAt;
    this.startedAt = fetched.startedAt;
    if (restarted) for (const history of this.known.values()) end(history, fetched.startedAt);
    for (const kind of ["gpupools", "inferencescalers"]) {
      for (const [name, series] of Object.entries(fetched[kind])) {
        const key = `${kind} ${name}`;
        const history = this.known.get(key);
        if (history) add(history, series);
        else this.known.set(key, series);
      }
    }
  }
}

function columns(history) {
  return Object.keys(history).filter((name) => name !== "t");
}

function end(history, moment) {
  history.t.push(Math.max(moment - 0.001, history.t.at(-1) ?? 0));
  for (const name of columns(history)) history[name].push(null);
}

function add(history, series) {
  const last = history.t.at(-1) ?? -Infinity;
  series.t.forEach((t, index) => {
    if (t <= last) return;
    history.t.push(t);
    for (const name of columns(history)) history[name].push(series[name][index]);
  });
  const surplus = history.t.length - MOST_POINTS;
  if (surplus > 0) for (const column of Object.values(history)) column.splice(0, surplus);
}
