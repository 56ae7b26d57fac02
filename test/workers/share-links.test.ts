import { describe, expect, test } from "vitest";
import { MAX_LINKS } from "../../servers/account/share-links.ts";
import { serveDownload } from "../../servers/files/download.ts";
import { ToolError } from "../../servers/shared/errors.ts";
import { type LinkSuite, linkSuite } from "../support/link-suite.ts";
import { rules } from "./gate-suite.ts";

/** Of a file with that content, shared. */
async function share(suite: LinkSuite, path: string, content: string, mimeType?: string) {
  await suite.files.write(path, content, mimeType === undefined ? {} : { mimeType });
  return await suite.link(path, "download");
}

describe("links of somebody who is paused", () => {
  test("are refused with the reason, however they are asked for, and work again afterwards", async () => {
    const suite = linkSuite("paused-linker");
    const { url } = await share(suite, "a.txt", "a");
    const { url: inbox } = await suite.link("inbox/", "upload");
    await rules.pausePerson("paused-linker", "Leaked");
    for (const method of ["GET", "HEAD"]) expect((await suite.open(url, { method })).status).toBe(403);
    expect(await (await suite.open(url)).text()).toMatch(/^paused: An admin paused you at .* \(Leaked\); /);
    expect((await suite.open(`${inbox}b.txt`, { method: "PUT", body: "b" })).status).toBe(403);
    await expect(suite.files.stat("inbox/b.txt")).rejects.toMatchObject({ code: "not_found" });
    await rules.resumePerson("paused-linker");
    // As an isolate that has not heard of the pause.
    expect((await linkSuite("paused-linker").open(url)).status).toBe(200);
  });
});

describe("links", () => {
  test("are listed without their URL, newest first, until they expire or are revoked", async () => {
    const suite = linkSuite("lister");
    await suite.files.write("a.txt", "a");
    const first = await suite.links.create({ path: "a.txt", purpose: "download", expiresInSeconds: 60 });
    suite.clock.now = new Date(suite.clock.now.getTime() + 1_000);
    const { url, ...second } = await suite.link("inbox/", "upload");
    expect(second).toMatchObject({ purpose: "upload", path: "inbox/", expiresAt: new Date("2026-11-22T13:00:01Z") });
    expect(url).toMatch(/^http:\/\/localhost:8717\/u\/lister\.[0-9a-f]{16}\.[0-9a-f]{32}\/$/);
    const { url: _url, ...firstShown } = first;
    expect(await suite.links.list()).toEqual([second, firstShown]);
    suite.clock.now = new Date(suite.clock.now.getTime() + 59_000);
    expect(await suite.links.list()).toEqual([second]);
    await suite.links.revoke(second.id);
    expect(await suite.links.list()).toEqual([]);
  });

  test("are revoked by id or URL, once, by the person who made them alone", async () => {
    const suite = linkSuite("revoker");
    const one = await share(suite, "a.txt", "a");
    const two = await suite.link("a.txt", "download");
    const stranger = linkSuite("stranger").links;
    for (const link of [one.id, one.url, "nonsense", "http://localhost:8717/s/nonsense", ""]) {
      await expect(stranger.revoke(link)).rejects.toMatchObject({ code: "not_found" });
    }
    expect((await suite.open(one.url)).status).toBe(200);
    expect(await suite.links.revoke(one.id)).toMatchObject({ id: one.id, path: "a.txt" });
    await suite.links.revoke(two.url);
    await expect(suite.links.revoke(two.url)).rejects.toMatchObject({ code: "not_found" });
    expect([(await suite.open(one.url)).status, (await suite.open(two.url)).status]).toEqual([404, 404]);
  });

  test("are bounded in number, and expired ones make room", async () => {
    const suite = linkSuite("collector");
    await suite.files.write("a.txt", "a");
    const create = async () => await suite.links.create({ path: "a.txt", purpose: "download", expiresInSeconds: 60 });
    for (let count = 0; count < MAX_LINKS; count += 100) await Promise.all(Array.from({ length: 100 }, create));
    await expect(create()).rejects.toMatchObject({ code: "limit_reached" });
    suite.clock.now = new Date(suite.clock.now.getTime() + 60_000);
    await create();
    expect(await suite.links.list()).toHaveLength(1);
  });

  test("to what is not there, or to the top folder, are not made", async () => {
    const suite = linkSuite("maker");
    await expect(suite.link("nothing.txt", "download")).rejects.toMatchObject({ code: "not_found" });
    for (const path of ["/", "../up/", "a\u0000/"]) {
      await expect(suite.link(path, "upload")).rejects.toMatchObject({ code: "invalid_input" });
    }
  });

  test("that do not work give one answer, and a forged one asks no account", async () => {
    const suite = linkSuite("sharer");
    const { url, expiresAt } = await share(suite, "a.txt", "text");
    const upload = await suite.link("b.txt", "upload");
    const [, userId, id, mac] = /\/s\/(\w+)\.(\w+)\.(\w+)\//.exec(url) ?? [];
    const origin = "http://localhost:8717";
    const forged = [
      `${origin}/s/${userId}.${id}.${"0".repeat(32)}/a.txt`,
      `${origin}/s/victim.${id}.${mac}/a.txt`,
      `${origin}/s/${userId}.${"0".repeat(16)}.${mac}/a.txt`,
      `${origin}/u/${userId}.${id}.${mac}/a.txt`,
      upload.url.replace("/u/", "/s/"),
      `${origin}/s/nonsense`,
      `${origin}/s/`,
      `${origin}/u/%zz`,
    ];
    const answers = await Promise.all(forged.map(async (one) => await suite.open(one)));
    expect(suite.askedAccounts).toEqual([]);
    suite.clock.now = expiresAt;
    answers.push(await suite.open(url));
    suite.clock.now = new Date(expiresAt.getTime() - 1);
    expect((await suite.open(url)).status).toBe(200);
    await suite.files.remove("a.txt");
    answers.push(await suite.open(url));
    const said = await Promise.all(
      answers.map(async (answer) => JSON.stringify([answer.status, [...answer.headers], await answer.text()])),
    );
    expect(new Set(said).size).toBe(1);
    expect(said[0]).toContain("[404,");
  });
});

describe("links of a person who is out", () => {
  test("are as dead as wrong ones, and what they are for decides", async () => {
    const suite = linkSuite("leaver");
    const down = await share(suite, "a.txt", "a");
    const up = await suite.link("inbox/", "upload");
    const statuses = async (): Promise<number[]> => [
      (await suite.open(down.url)).status,
      (await suite.open(up.url)).status,
    ];
    expect(await statuses()).toEqual([200, 200]);
    suite.access.isLetIn = async (id, scopes) => id === "leaver" && !scopes.includes("files:write");
    expect(await statuses()).toEqual([200, 404]);
    suite.access.isLetIn = async () => false;
    expect(await statuses()).toEqual([404, 404]);
    expect(await (await suite.open(down.url)).text()).toBe(
      "This link does not work, or no longer. Ask for a new one.\n",
    );
  });

  test("are to be tried again where nobody can say whether they are out", async () => {
    const suite = linkSuite("doubtful");
    const { url } = await share(suite, "a.txt", "a");
    suite.access.isLetIn = async () => await Promise.reject(new ToolError("unavailable", "Try again in a minute."));
    const answer = await suite.open(url);
    expect([answer.status, await answer.text()]).toEqual([503, "Try again in a minute.\n"]);
  });
});

describe("a download", () => {
  test("is the whole file with its type, length and version", async () => {
    const suite = linkSuite("reader");
    const { url } = await share(suite, "reports/café (1).csv", "a,b\n");
    const response = await suite.open(url);
    expect(response.status).toBe(200);
    expect(await response.text()).toBe("a,b\n");
    const { etag, modifiedAt } = await suite.files.stat("reports/café (1).csv");
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "content-type": "text/csv; charset=utf-8",
      "content-length": "4",
      "content-disposition": "inline; filename*=UTF-8''caf%C3%A9%20%281%29.csv",
      "cache-control": "private, no-store, no-transform",
      "referrer-policy": "no-referrer",
      "accept-ranges": "bytes",
      "last-modified": modifiedAt.toUTCString(),
      etag: `"${etag}"`,
    });
    const head = await suite.open(url, { method: "HEAD" });
    expect([head.status, await head.text(), [...head.headers]]).toEqual([200, "", [...response.headers]]);
    expect((await suite.open(url, { method: "POST" })).status).toBe(405);
  });

  test.each([
    ["bytes=0-3", 206, "0123", "bytes 0-3/10"],
    ["bytes=4-", 206, "456789", "bytes 4-9/10"],
    ["bytes=-3", 206, "789", "bytes 7-9/10"],
    ["bytes=-30", 206, "0123456789", "bytes 0-9/10"],
    ["bytes=8-99999", 206, "89", "bytes 8-9/10"],
    ["bytes=9-9", 206, "9", "bytes 9-9/10"],
    ["bytes=10-", 416, "The file has no such bytes.\n", "bytes */10"],
    ["bytes=-0", 416, "The file has no such bytes.\n", "bytes */10"],
    ["bytes=3-1", 200, "0123456789", null],
    ["bytes=0-1,4-5", 200, "0123456789", null],
    ["bytes=-", 200, "0123456789", null],
    ["lines=1-2", 200, "0123456789", null],
  ])("asked for %s answers %i with those bytes", async (range, status, text, contentRange) => {
    const suite = linkSuite(`ranger-${range.replaceAll(/\W/g, "_")}`);
    const { url } = await share(suite, "digits.txt", "0123456789");
    const response = await suite.open(url, { headers: { Range: range } });
    expect([response.status, response.headers.get("Content-Range"), await response.text()]).toEqual([
      status,
      contentRange,
      text,
    ]);
    if (status !== 416) expect(response.headers.get("Content-Length")).toBe(String(text.length));
  });

  test("of an empty file has no bytes to ask for", async () => {
    const suite = linkSuite("nothing");
    const { url } = await share(suite, "empty.txt", "");
    expect(await (await suite.open(url)).text()).toBe("");
    expect((await suite.open(url, { headers: { Range: "bytes=0-" } })).status).toBe(416);
  });

  test("goes on where it stopped only while the file is the same", async () => {
    const suite = linkSuite("resumer");
    const { url } = await share(suite, "digits.txt", "0123456789");
    const resume = async (version: string | null): Promise<string> => {
      const response = await suite.open(url, { headers: { Range: "bytes=5-", "If-Range": version ?? "" } });
      return `${response.status} ${await response.text()}`;
    };
    const { headers } = await suite.open(url, { method: "HEAD" });
    expect(await resume(headers.get("ETag"))).toBe("206 56789");
    expect(await resume(headers.get("Last-Modified"))).toBe("206 56789");
    expect(await resume(`W/${headers.get("ETag")}`)).toBe("200 0123456789");
    await suite.files.write("digits.txt", "abcdefghij");
    expect(await resume(headers.get("ETag"))).toBe("200 abcdefghij");
  });

  test("in pieces of one version is refused from when the file is another", async () => {
    const suite = linkSuite("piecer");
    const { url } = await share(suite, "digits.txt", "0123456789");
    const pieceOf = async (given: Record<string, string>): Promise<string> => {
      const response = await suite.open(url, { headers: { Range: "bytes=5-", ...given } });
      return `${response.status} ${await response.text()}`;
    };
    const { headers } = await suite.open(url, { method: "HEAD" });
    const tag = headers.get("ETag") ?? "";
    const unmodified = { "If-Unmodified-Since": headers.get("Last-Modified") ?? "" };
    const changed = "412 The file is another than you ask for.\n";
    expect(await pieceOf({ "If-Match": `"other", ${tag}` })).toBe("206 56789");
    expect(await pieceOf({ "If-Match": "*" })).toBe("206 56789");
    expect(await pieceOf(unmodified)).toBe("206 56789");
    expect(await pieceOf({ "If-Match": `W/${tag}` })).toBe(changed);
    expect(await pieceOf({ "If-Unmodified-Since": new Date(0).toUTCString() })).toBe(changed);
    expect(await pieceOf({ "If-Match": tag, "If-Unmodified-Since": new Date(0).toUTCString() })).toBe("206 56789");
    await suite.files.write("digits.txt", "abcdefghij");
    expect(await pieceOf({ "If-Match": tag })).toBe(changed);
    expect((await suite.open(url, { headers: { "If-Match": tag } })).status).toBe(412);
  });

  test("is the whole of what has replaced the file in this moment", async () => {
    const { files } = linkSuite("replacer");
    await files.write("digits.txt", "0123456789");
    const stat: typeof files.stat = async (path) => {
      const info = await files.stat(path);
      await files.write(path, "abcdefghij");
      return info;
    };
    const request = new Request("https://pincer.example.com/", { headers: { Range: "bytes=5-" } });
    const response = await serveDownload(request, { ...files, stat }, "digits.txt");
    expect([response.status, await response.text()]).toEqual([200, "abcdefghij"]);
  });

  test("is not sent again to a reader who has this version", async () => {
    const suite = linkSuite("knower");
    const { url } = await share(suite, "a.txt", "text");
    const { headers } = await suite.open(url, { method: "HEAD" });
    const tag = headers.get("ETag") ?? "";
    const statusOf = async (given: Record<string, string>) => (await suite.open(url, { headers: given })).status;
    expect(await statusOf({ "If-None-Match": `"other", W/${tag}` })).toBe(304);
    expect(await statusOf({ "If-None-Match": "*" })).toBe(304);
    expect(await statusOf({ "If-None-Match": `"other"` })).toBe(200);
    expect(await statusOf({ "If-Modified-Since": headers.get("Last-Modified") ?? "" })).toBe(304);
    expect(await statusOf({ "If-Modified-Since": new Date(0).toUTCString() })).toBe(200);
    expect(await statusOf({ "If-None-Match": `"other"`, "If-Modified-Since": new Date().toUTCString() })).toBe(200);
  });

  test.each([
    ["page.html", undefined, "text/html; charset=utf-8", "inline"],
    ["picture.svg", undefined, "image/svg+xml", "inline"],
    ["sheet.xml", undefined, "application/xml", "attachment"],
    ["sheet", "text/xml", "text/xml; charset=utf-8", "inline"],
    ["page.xhtml", undefined, "application/xhtml+xml", "attachment"],
    ["paper.pdf", undefined, "application/pdf", "attachment"],
    ["tool.exe", undefined, "application/octet-stream", "attachment"],
    ["code.js", undefined, "text/plain; charset=utf-8", "inline"],
    ["code.mjs", undefined, "text/plain; charset=utf-8", "inline"],
    ["a", "application/x-javascript; charset=utf-8", "text/plain; charset=utf-8", "inline"],
    ["b", "multipart/x-mixed-replace;boundary=x", "application/octet-stream", "attachment"],
    ["c", "text/html, text/plain", "application/octet-stream", "attachment"],
    ["d", "nonsense", "application/octet-stream", "attachment"],
    ["e", "TEXT/HTML;charset=utf-7", "TEXT/HTML;charset=utf-7", "inline"],
  ])("of %s as %s cannot run on our origin", async (path, mimeType, servedAs, disposition) => {
    const suite = linkSuite(`host-${path.replaceAll(/\W/g, "_")}`);
    const { url } = await share(suite, path, "<script>alert(1)</script>", mimeType);
    const { headers, status } = await suite.open(url);
    expect([status, headers.get("Content-Type")]).toEqual([200, servedAs]);
    expect(headers.get("Content-Disposition")).toMatch(new RegExp(`^${disposition};`));
    const policy = (headers.get("Content-Security-Policy") ?? "").split("; ");
    expect(policy).toEqual(expect.arrayContaining(["sandbox", "default-src 'none'", "frame-ancestors 'none'"]));
    expect(policy.join()).not.toMatch(/allow-|script-src/);
    expect(headers.get("X-Content-Type-Options")).toBe("nosniff");
    expect(headers.get("Cross-Origin-Resource-Policy")).toBe("same-origin");
  });

  test("leaves an entry in the books of its person, which does not hold the URL", async () => {
    const suite = linkSuite("bookkeeper");
    const { url, id } = await share(suite, "a.txt", "text");
    await suite.open(url);
    await suite.files.remove("a.txt");
    await suite.open(url);
    await suite.settle();
    const rows = await suite.account.listAudit(10);
    expect(rows.map(({ tool, outcome, clientId, outputBytes }) => [tool, outcome, clientId, outputBytes])).toEqual(
      expect.arrayContaining([
        ["files_share/download", "ok", `link:${id}`, 4],
        ["files_share/download", "not_found", `link:${id}`, 0],
      ]),
    );
    const [, mac = ""] = /\.([0-9a-f]{32})\//.exec(url) ?? [];
    expect(mac).not.toBe("");
    expect(JSON.stringify(rows)).not.toContain(mac);
  });
});
