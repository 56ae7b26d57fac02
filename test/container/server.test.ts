import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Command, Sandbox, Watch } from "../../servers/sandbox/driver.ts";
import { remoteSandbox } from "./remote-sandbox.ts";
import { type StandIn, startStandIn, whyNoStandIn } from "./stand-in.ts";

const reason = whyNoStandIn();
/** The oldest of those that bear the name: the others were forked from it. */
const KILL_SERVER = "kill -9 $(pgrep -of 'python3 .*/serve.py')";

/** How a program inside knows what the driver knows. */
const FIND_SECRET = `
import json, os, signal, socket, subprocess, time
server = int(subprocess.check_output(["pgrep", "-of", "python3 .*/serve.py"]))
environ = open(f"/proc/{server}/environ").read().split("\\0")
secret = next(entry for entry in environ if entry.startswith("PINCER_SECRET=")).partition("=")[2]
`;

/** Asks for two commands while the server takes no connections, and waits for the answer of the second alone. */
const HANG_UP = `${FIND_SECRET}
def ask(name):
    request = {"id": name, "command": f"touch /tmp/{name}", "cwd": "/", "timeoutMs": 9e3, "waitMs": 9e3, "maxChars": 9}
    body = json.dumps(request)
    connection = socket.create_connection(("127.0.0.1", 3777))
    head = f"POST /run HTTP/1.1\\r\\nauthorization: {secret}\\r\\ncontent-length: {len(body)}\\r\\n\\r\\n"
    connection.sendall((head + body).encode())
    return connection
os.kill(server, signal.SIGSTOP)
ask("left").close()
stays = ask("stayed")
os.kill(server, signal.SIGCONT)
while stays.recv(1000): pass
time.sleep(1)
`;

/** A platform may send the head of a request and its body apart; a connection that is reset raises. */
const SAVE_IN_TWO = `${FIND_SECRET}
connection = socket.create_connection(("127.0.0.1", 3777))
connection.sendall(f"POST /save HTTP/1.1\\r\\nauthorization: {secret}\\r\\ncontent-length: 2\\r\\n\\r\\n".encode())
time.sleep(0.1)
connection.sendall(b"{}")
answer = b""
while chunk := connection.recv(65536): answer += chunk
print(answer.endswith(b"\\r\\n0\\r\\n\\r\\n"))
`;

/** Takes everything that is asked of it for done. */
const SQUATTER = `
import http.server
class Squatter(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}\\n")
http.server.HTTPServer(("0.0.0.0", 3777), Squatter).serve_forever()
`;

if (reason === undefined) {
  describe("the guest's server", () => {
    let standIn: StandIn;
    beforeAll(async () => (standIn = await startStandIn()));
    afterAll(async () => await standIn.close());
    const open = (): Sandbox => remoteSandbox(standIn.url, `u${crypto.randomUUID().replaceAll("-", "")}`).sandbox;

    test("is started again by the next call when it was killed, and what ran goes on", async () => {
      const sandbox = open();
      const running = await sandbox.exec(command("sleep 3; echo done", 0), quiet());
      expect((await sandbox.exec(command(`${KILL_SERVER}; echo killed`), quiet())).stdout.text).toBe("killed\n");
      const alive = await sandbox.exec(command("echo alive; pgrep -cf 'python3 .*/serve.py'"), quiet());
      expect(alive.stdout.text).toMatch(/^alive\n\d+\n$/);
      const read = { after: { stdout: 0, stderr: 0 }, waitMs: 10_000, until: "end", maxChars: 100 } as const;
      expect(await sandbox.readProcess(running.processId, read, quiet())).toMatchObject({
        exitCode: 0,
        stdout: { text: "done\n" },
      });
    });

    test("lets a command go on when what was to stop an earlier one of its process comes late", async () => {
      const sandbox = open();
      const { processId } = await sandbox.exec(command("sleep 2; echo done", 0), quiet());
      await sandbox.exec(command(`kill $(cut -d' ' -f1 /dev/pincer/calls/${processId})`), quiet());
      const read = { after: { stdout: 0, stderr: 0 }, waitMs: 10_000, until: "end", maxChars: 100 } as const;
      expect(await sandbox.readProcess(processId, read, quiet())).toMatchObject({
        exitCode: 0,
        stdout: { text: "done\n" },
      });
    });

    test("does nothing for who does not know its secret", async () => {
      const sandbox = open();
      const post = (secret: string): string => {
        const body = JSON.stringify({ id: "x", command: "touch /tmp/ran", cwd: "/", timeoutMs: 9e3, waitMs: 9e3 });
        const head = `POST /run HTTP/1.1\\r\\n${secret}content-length: ${body.length}\\r\\n\\r\\n`;
        return `exec 3<>/dev/tcp/127.0.0.1/3777; printf '${head}%s' '${body}' >&3; cat <&3; ls /tmp/ran`;
      };
      for (const secret of ["", "authorization: \\r\\n", "authorization: wrong\\r\\n", "authorization: \\377\\r\\n"]) {
        const { stdout, stderr } = await sandbox.exec(command(post(secret)), quiet());
        expect(stdout.text.split("\r\n")[0]).toBe("HTTP/1.1 403 Forbidden");
        expect(stderr.text).toContain("No such file");
      }
    });

    test("begins nothing for who has hung up before their turn", async () => {
      const sandbox = open();
      const { stdout, stderr } = await sandbox.exec(command("python3 -; ls /tmp", 30_000, { stdin: HANG_UP }), quiet());
      expect(stderr.text).toBe("");
      expect(stdout.text.split("\n")).toContain("stayed");
      expect(stdout.text.split("\n")).not.toContain("left");
    });

    test("gives a snapshot whole to who sends the body of the request after its head", async () => {
      const sandbox = open();
      const { stdout, stderr } = await sandbox.exec(command(`python3 - <<'END'${SAVE_IN_TWO}END`), quiet());
      expect([stdout.text, stderr.text]).toEqual(["True\n", ""]);
    });

    test("answers while others hold connections on which they say nothing", async () => {
      const sandbox = open();
      const hold =
        "for _ in {1..50}; do exec {fd}<>/dev/tcp/127.0.0.1/3777; printf 'POST /run' >&$fd; done; echo held; sleep 20";
      const { processId } = await sandbox.exec(command(hold, 0), quiet());
      const read = {
        after: { stdout: 0, stderr: 0 },
        waitMs: 10_000,
        until: { pattern: "held" },
        maxChars: 100,
      } as const;
      expect(await sandbox.readProcess(processId, read, quiet())).toMatchObject({ isReached: true });
      expect((await sandbox.exec(command("echo alive"), quiet())).stdout.text).toBe("alive\n");
    });

    // Where other files take the machine, one of so many may be told to try again.
    test(
      "has 200 calls at once, each with its own answer, and keeps few processes and no dead ones",
      { retry: 1 },
      async () => {
        const sandbox = open();
        await sandbox.exec(command("true"), quiet());
        const numbers = Array.from({ length: 200 }, (_, index) => index);
        const results = await Promise.all(
          numbers.map(async (number) => await sandbox.exec(command(`echo ${number}`, 50_000), quiet())),
        );
        expect(results.map(({ stdout }) => stdout.text)).toEqual(numbers.map((number) => `${number}\n`));
        const count = "pgrep -cf 'python3 .*/serve.py'; grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l";
        const look = async (): Promise<unknown> => {
          const [servers = Infinity, zombies] = (await sandbox.exec(command(count), quiet())).stdout.text
            .split("\n")
            .map(Number);
          return { hasFewServers: servers <= 8, zombies };
        };
        // The last answers may still be on their way out.
        await expect.poll(look).toEqual({ hasFewServers: true, zombies: 0 });
      },
    );

    test("is not mistaken for what took its port: the sandbox is ended, and the next call starts a fresh one", async () => {
      const sandbox = open();
      await sandbox.exec(command("touch before"), quiet());
      const squat = `(sleep 0.5; ${KILL_SERVER}; exec python3 -c "$SQUATTER") >/dev/null 2>&1 &`;
      await sandbox.exec(command(squat, 30_000, { env: { SQUATTER } }), quiet());
      // Whoever asked before it listens would have the server started again.
      await new Promise((resolve) => setTimeout(resolve, 8_000));
      await expect(sandbox.exec(command("true"), quiet())).rejects.toMatchObject({
        code: "unavailable",
        message: expect.stringContaining("the sandbox was ended"),
      });
      expect((await sandbox.exec(command("echo alive"), quiet())).stdout.text).toBe("alive\n");
    });
  });
} else {
  describe("the guest's server", () => {
    test.skip(`survives what happens to it (skipped: ${reason})`, () => undefined);
  });
}

function quiet(): Watch {
  return { signal: new AbortController().signal };
}

function command(script: string, waitMs = 30_000, rest: Partial<Command> = {}): Command {
  return { command: script, timeoutMs: 60_000, waitMs, maxChars: 10_000, ...rest };
}
