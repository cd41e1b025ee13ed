// Times as a person on call reads them: by the clock, and how long ago.

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const minute = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });

/** Unix seconds of an RFC 3339 text; NaN where there is none. */
export const seconds = (text) => (text ? Date.parse(text) / 1000 : NaN);

/** A moment by the clock, with its day where that is another than that of `now`. Unix seconds. */
export function at(moment, now) {
  if (!Number.isFinite(moment)) return "";
  const date = new Date(moment * 1000);
  const same = date.toDateString() === new Date(now * 1000).toDateString();
  return same ? clock.format(date) : `${day.format(date)} ${minute.format(date)}`;
}

export const tick = (moment) => minute.format(new Date(moment * 1000));

/** How long something lasts, in one unit or two. */
export function lasting(total) {
  const left = Math.max(0, Math.round(total));
  if (left < 60) return `${left} s`;
  if (left < 3600) return `${Math.floor(left / 60)} min`;
  if (left < 86_400) return `${Math.floor(left / 3600)} h ${Math.floor((left % 3600) / 60)} min`;
  return `${Math.floor(left / 86_400)} d ${Math.floor((left % 86_400) / 3600)} h`;
}
