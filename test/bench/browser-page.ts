import { type Site, serveSite } from "../browser/pages.ts";

/** How long the page's server thinks. */
export const ANSWER_MS = 400;
export const ADD = "Add one";
export const ASK = "Ask the server";

/** What the page shows after that many clicks on either. */
export function countText(clicks: number): string {
  return `Count: ${clicks}.`;
}

export function answerText(clicks: number): string {
  return `Answer: ${clicks}.`;
}

/** How long the page itself was busy with the last answer, as it says. */
export function pageTimeMs(text: string): number {
  const [, took] = /It took ([\d.]+) ms/.exec(text) ?? [];
  if (took === undefined) throw new Error(`The page does not say how long it took: ${text}`);
  return Number(took);
}

const PLACES = ["Orders", "Customers", "Products", "Invoices", "Reports", "Suppliers", "Settings", "Help"];
const GOODS = ["Anvil", "Bellows", "Chisel", "Drill", "Engine", "Flask", "Gauge", "Hammer"];
const TEXTS = ["First name", "Last name", "Company", "Street", "House number", "Postal code", "Town", "Region"];
const MORE_TEXTS = ["Telephone", "Order number", "Delivery date", "Remarks"];
const CHOICES = ["Country", "Carrier", "Currency", "Warehouse"];
const EXTRAS = [
  "Gift wrap",
  "Insurance",
  "Express",
  "Invoice by post",
  "Newsletter",
  "Call first",
  "Fragile",
  "Return",
];
const PAYMENTS = ["Card", "Transfer", "Cash"];
/** Those above, a field and a button to search, two buttons for each row, two to send the form, and the two to press. */
export const CONTROLS = 65;

/** Serves, at `/`, a page of an ordinary shop with as many controls. */
export async function serveBenchPage(): Promise<Site> {
  return await serveSite("127.0.0.1", {
    "/": PAGE,
    "/answer": (request, response) => {
      const { searchParams } = new URL(request.url ?? "", "http://localhost");
      setTimeout(() => response.end(answerText(Number(searchParams.get("clicks")))), ANSWER_MS);
    },
    "/favicon.ico": (_request, response) => response.writeHead(204).end(),
  });
}

function each(names: readonly string[], write: (name: string, index: number) => string): string {
  return names.map(write).join("\n");
}

const PAGE = `<html lang="en"><title>Orders</title>
<style>body { font: 14px sans-serif; margin: 2em } nav a, label { margin-right: 1em } td { padding: 2px 8px }</style>
<header><h1>Hardware shop</h1><nav>${each(PLACES, (place) => `<a href="/${place.toLowerCase()}">${place}</a>`)}</nav>
<form role="search"><input type="search" aria-label="Search"><button type="button">Search</button></form></header>
<main><h2>Open orders</h2>
<table><thead><tr><th>Article</th><th>Quantity</th><th>Price</th><th>Actions</th></tr></thead><tbody>
${each(GOODS, (name, index) => {
  const price = `${12 + index * 7}.50 €`;
  const buttons = `<button>Edit ${name}</button> <button>Remove ${name}</button>`;
  return `<tr><td><a href="/articles/${index}">${name}</a></td><td>${index + 1}</td><td>${price}</td><td>${buttons}</td></tr>`;
})}</tbody></table>
<h2>New order</h2><p>Fields that are marked are required. We answer within two working days.</p>
<form>${each([...TEXTS, ...MORE_TEXTS], (name) => `<p><label>${name} <input placeholder="${name}"></label></p>`)}
${each(CHOICES, (name) => {
  const options = each(["first", "second", "third"], (which) => `<option>${name}, the ${which}</option>`);
  return `<p><label>${name} <select>${options}</select></label></p>`;
})}
<fieldset><legend>Extras</legend>${each(EXTRAS, (name) => `<label><input type="checkbox"> ${name}</label>`)}</fieldset>
<fieldset><legend>Payment</legend>${each(
  PAYMENTS,
  (name) => `<label><input type="radio" name="payment"> ${name}</label>`,
)}</fieldset>
<button type="button">Send order</button> <button type="reset">Reset</button></form>
<h2>Stock</h2><p><button id="add">${ADD}</button> <button id="ask">${ASK}</button></p>
<p id="count">${countText(0)}</p><p id="answer">${answerText(0)}</p></main>
<footer><p>All prices with tax. Hardware shop, 12 Mill Lane.</p></footer>
<script>
let [added, asked] = [0, 0];
const show = (id, text) => { document.getElementById(id).textContent = text; };
document.getElementById("add").onclick = () => show("count", ${JSON.stringify(countText(0))}.replace("0", ++added));
document.getElementById("ask").onclick = async () => {
  const startedMs = performance.now();
  const answer = await (await fetch("/answer?clicks=" + ++asked)).text();
  show("answer", answer + " It took " + (performance.now() - startedMs).toFixed(1) + " ms.");
};
</script></html>`;
