import { join } from "node:path";
import { text } from "node:stream/consumers";
import { build } from "esbuild";
import { type Pages, script } from "../pages.ts";

const TEAS = [
  { id: 1, name: "Assam", price: 4 },
  { id: 2, name: "Sencha", price: 6 },
  { id: 3, name: "Oolong", price: 9 },
];
const DATA_DELAY_MS = 400;

/** A React app with routes of its own, whose data comes 400 ms after it is asked for. */
export async function shopPages(): Promise<Pages> {
  const { outputFiles } = await build({
    entryPoints: [join(import.meta.dirname, "shop.jsx")],
    bundle: true,
    write: false,
    minify: true,
    format: "iife",
    jsx: "automatic",
    define: { "process.env.NODE_ENV": '"production"' },
  });
  const code = outputFiles[0]?.text ?? "";
  const orders: string[] = [];
  const shell = `<title>Shop</title><div id="app"></div><script src="/shop.js"></script>`;
  return {
    "/shop": shell,
    "/shop/cart": shell,
    "/shop/tea/*": shell,
    "/shop.js": script(code),
    "/shop/data/teas": (_request, response) => later(() => response.end(JSON.stringify(TEAS))),
    "/shop/data/tea/*": ({ url = "" }, response) =>
      later(() => response.end(JSON.stringify(TEAS.find(({ id }) => url.endsWith(`/${id}`))))),
    "/shop/data/orders": async (request, response) => {
      const order = await text(request);
      orders.push(order);
      later(() => response.end(`Order ${orders.length} taken: ${order}`));
    },
  };
}

function later(answer: () => void): void {
  setTimeout(answer, DATA_DELAY_MS);
}
