const DAY_MS = 24 * 60 * 60 * 1_000;
const MONTH_CHARS = "YYYY-MM".length;
/** Three years of days; months beside them are fewer. */
const MAX_DAYS = 1_100;

/** The month of a day. Months are told from days by their length. */
export function monthOf(day: string): string {
  return day.slice(0, MONTH_CHARS);
}

/** Every day from the one to the other, both among them, and at most the first three years. */
export function daysBetween(fromDay: string, toDay: string): string[] {
  const days: string[] = [];
  for (let atMs = Date.parse(fromDay); atMs <= Date.parse(toDay) && days.length < MAX_DAYS; atMs += DAY_MS) {
    days.push(new Date(atMs).toISOString().slice(0, 10));
  }
  return days;
}

/** The fewest months and days that the range is made of. */
export function periodsBetween(fromDay: string, toDay: string): string[] {
  const days = daysBetween(fromDay, toDay);
  const asked = new Set(days);
  const isWhole = (month: string): boolean => asked.has(`${month}-01`) && asked.has(lastDayOf(month));
  const periods = days.map((day) => (isWhole(monthOf(day)) ? monthOf(day) : day));
  return [...new Set(periods)];
}

function lastDayOf(month: string): string {
  const [year = 0, number = 0] = month.split("-").map(Number);
  return new Date(Date.UTC(year, number, 0)).toISOString().slice(0, 10);
}
