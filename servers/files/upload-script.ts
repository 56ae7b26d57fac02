/**
 * What runs in the upload page, as plain as browsers take it: each file whole or in parts, each request tried again
 * where the connection fails, a bar and a result for each file. Text goes in by `textContent` alone.
 */
export const UPLOAD_SCRIPT = String.raw`"use strict";

const section = document.querySelector("#upload");
const list = document.querySelector("#list");
const news = document.querySelector("#news");
const picker = document.querySelector("#files");
const base = section.dataset.url;
const isFolder = "folder" in section.dataset;
const partBytes = Number(section.dataset.partBytes);
const maxBytes = Number(section.dataset.maxBytes);

const WAITS_MS = [1000, 2000, 4000, 8000, 16000];
let queue = Promise.resolve();
let waiting = 0;

section.hidden = false;
for (const time of document.querySelectorAll("time"))
  time.textContent = new Date(time.dateTime).toLocaleString(undefined, { dateStyle: "long", timeStyle: "short" });

picker.addEventListener("change", () => {
  take(picker.files);
  picker.value = "";
});
addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});
addEventListener("dragleave", () => document.body.classList.remove("dropping"));
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  take(event.dataTransfer.files);
});
addEventListener("beforeunload", (event) => {
  if (waiting > 0) event.preventDefault();
});

function take(files) {
  for (const file of isFolder ? files : [...files].slice(0, 1)) enqueue(file, showFile(file), {});
}

function enqueue(file, row, known) {
  row.wait();
  waiting += 1;
  queue = queue
    .then(() => upload(file, row, known))
    .then(
      (said) => row.done(said),
      (failure) => row.fail(failure.message, () => enqueue(file, row, known)),
    )
    .finally(() => (waiting -= 1));
}

function showFile(file) {
  const row = list.appendChild(document.createElement("li"));
  const add = (tag, className) => {
    const element = document.createElement(tag);
    element.className = className;
    return row.appendChild(element);
  };
  const name = add("span", "name");
  name.textContent = file.name;
  const state = add("span", "state");
  const bar = add("progress", "bar");
  bar.setAttribute("aria-label", file.name);
  const button = add("button", "again");
  button.type = "button";
  button.textContent = "Try again";
  const show = (text, isFailed, hasBar) => {
    state.textContent = text;
    state.classList.toggle("failed", isFailed);
    bar.hidden = !hasBar;
    button.hidden = !isFailed;
  };
  return {
    wait: () => {
      bar.value = 0;
      show("Waiting", false, true);
    },
    progress: (sent) => {
      bar.max = file.size || 1;
      bar.value = sent;
      show(sent >= file.size ? "Being put in its place" : size(sent) + " of " + size(file.size), false, true);
    },
    done: (said) => {
      show(said, false, false);
      news.textContent = file.name + ": " + said;
    },
    fail: (said, again) => {
      show(said, true, false);
      button.onclick = again;
      news.textContent = file.name + ": " + said;
    },
  };
}

/** Parts that have arrived before are not sent again: known.id is the upload that they belong to. */
async function upload(file, row, known) {
  if (file.size > maxBytes) throw new Error("It is larger than " + size(maxBytes) + ".");
  const url = isFolder ? base + encodeURIComponent(file.name) : base;
  if (file.size <= partBytes) return await send("PUT", url, file, row.progress);
  known.id ??= await send("POST", url + "?uploads&size=" + file.size);
  const there = await send("GET", url + "?upload=" + known.id).catch((failure) => {
    if (failure.status === 404) delete known.id;
    throw failure;
  });
  const arrived = new Set(there.split("\n").map(Number));
  for (let start = 0, number = 1; start < file.size; start += partBytes, number += 1) {
    row.progress(start);
    if (arrived.has(number)) continue;
    const part = file.slice(start, start + partBytes);
    await send("PUT", url + "?upload=" + known.id + "&part=" + number, part, (sent) => row.progress(start + sent));
  }
  row.progress(file.size);
  return await send("POST", url + "?upload=" + known.id + "&complete");
}

async function send(method, url, body, onProgress) {
  for (let attempt = 0; ; attempt += 1) {
    const { status, text } = await request(method, url, body, onProgress);
    if (status >= 200 && status < 300) return text.trim();
    const isWorthAnother = status === 0 || status === 408 || status === 429 || (status >= 500 && status !== 507);
    if (!isWorthAnother || attempt === WAITS_MS.length)
      throw Object.assign(new Error(text.trim() || "The connection failed."), { status });
    await new Promise((resolve) => setTimeout(resolve, WAITS_MS[attempt]));
  }
}

/** fetch does not tell how much of a body has gone. */
function request(method, url, body, onProgress) {
  return new Promise((resolve) => {
    const xhr = new XMLHttpRequest();
    xhr.open(method, url);
    if (onProgress) xhr.upload.onprogress = (event) => onProgress(event.loaded);
    xhr.onloadend = () => resolve({ status: xhr.status, text: xhr.status === 0 ? "" : xhr.responseText });
    xhr.send(body);
  });
}

function size(bytes) {
  if (bytes < 1000) return bytes + " bytes";
  const power = Math.min(3, Math.floor(Math.log10(bytes) / 3));
  return (bytes / 1000 ** power).toLocaleString(undefined, { maximumFractionDigits: 1 }) + " " + ["", "kB", "MB", "GB"][power];
}
`;
