/** What finds the `BrowserSession` of a person's browser. */
export function sessionNameOf(userId: string, browser: string): string {
  return `${userId}/browser/${browser}`;
}

/** Whose a `BrowserSession` of that name is. */
export function personOf(sessionName: string): string {
  const end = sessionName.lastIndexOf("/browser/");
  if (end < 1) throw new Error("A browser's session belongs to nobody.");
  return sessionName.slice(0, end);
}
