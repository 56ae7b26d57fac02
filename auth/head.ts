/** HEAD is answered as GET is, without the body (RFC 9110 §9.3.2). */
export async function withHead(request: Request, answer: (request: Request) => Promise<Response>): Promise<Response> {
  if (request.method !== "HEAD") return await answer(request);
  const asked = new Request(request, { method: "GET" });
  // None but a GET opens a WebSocket.
  asked.headers.delete("Upgrade");
  const response = await answer(asked);
  await response.body?.cancel();
  return new Response(null, response);
}
