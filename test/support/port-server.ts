/** A server for the sandbox that answers by path; it has no package at hand, and frames WebSockets by itself. */
export function portServer(port: number, garbagePort: number): string {
  return `
const { createServer } = require("node:http");
const { createHash } = require("node:crypto");
const server = createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url, "http://x");
  if (pathname === "/echo") {
    response.writeHead(207, { "x-method": request.method, "x-url": request.url, "x-pincer-port-state": "asleep" });
    response.write(JSON.stringify(request.headers) + "\\n");
    return request.pipe(response);
  }
  if (pathname === "/large") {
    const piece = Buffer.alloc(1 << 16, "x");
    let left = Number(searchParams.get("pieces") ?? 1024);
    const more = () => { while (left-- > 0) if (!response.write(piece)) return response.once("drain", more); response.end(); };
    return more();
  }
  if (pathname === "/count") {
    let bytes = 0;
    request.on("data", (chunk) => (bytes += chunk.length));
    return request.on("end", () => response.end(String(bytes)));
  }
  if (pathname === "/events") {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write("data: one\\n\\n");
    return;
  }
  if (pathname === "/dies") {
    response.writeHead(200, { "content-length": 1000 });
    response.write("half");
    return setTimeout(() => response.destroy(), 100);
  }
  if (pathname === "/raw") return request.socket.end(searchParams.get("head") + "\\r\\nContent-Length: 2\\r\\n\\r\\nok", "latin1");
  response.writeHead(302, { location: "/elsewhere", "set-cookie": ["a=1", "b=2; Path=/"] }).end();
});
server.on("upgrade", (request, socket) => {
  const key = request.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  const accept = createHash("sha1").update(key).digest("base64");
  socket.write("HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Accept: " + accept + "\\r\\n\\r\\n");
  socket.on("error", () => {});
  let held = Buffer.alloc(0);
  socket.on("data", (bytes) => {
    held = Buffer.concat([held, bytes]);
    const size = held[1] & 127;
    if (held.length < 6 + size) return;
    if ((held[0] & 15) === 8) return socket.end();
    const mask = held.subarray(2, 6);
    const text = held.subarray(6, 6 + size).map((byte, at) => byte ^ mask[at % 4]);
    held = held.subarray(6 + size);
    socket.write(Buffer.concat([Buffer.from([0x81, size]), text]));
  });
});
server.listen(${port}, "0.0.0.0", () => require("node:net").createServer((socket) => {
  socket.on("error", () => {});
  socket.end("what is that?\\r\\n\\r\\n");
}).listen(${garbagePort}, "0.0.0.0"));
`;
}
