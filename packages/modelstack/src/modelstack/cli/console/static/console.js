"use strict";
// Reads the page again some seconds after it was read last, never twice at once, and puts the new content in the place of
// the old one: what is open stays open, what has the focus keeps it, and charts get new data. Only what changed of the
// rollout and its alarms is announced.
const EVERY_MS = 5000;
let paused = false, reading = false, timer = 0;

const news = document.getElementById("news");
const clock = () => new Date().toISOString().slice(0, 19).replace("T", " ");
const show = (text) => { if (news.textContent !== text) news.textContent = text; };
const announce = (text) => {
  const said = document.getElementById("said");
  if (said.textContent !== text) said.textContent = text;
};

async function readAgain() {
  if (reading) return;
  reading = true;
  clearTimeout(timer);
  try {
    await read();
  } catch (error) {
    missed("the console does not answer");
  } finally {
    reading = false;
    timer = setTimeout(byItself, EVERY_MS);
  }
}

function byItself() {
  if (paused || document.hidden) timer = setTimeout(byItself, EVERY_MS);
  else readAgain();
}

async function read() {
  const answer = await fetch(location.href, { signal: AbortSignal.timeout(60000) });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById("main");
  if (!answer.ok) {
    missed(fresh.textContent.trim().replace(/\s+/g, " "));
    return;
  }
  replace(fresh);
  show(`read at ${clock()} UTC`);
}

function missed(why) {
  show(`cannot look: ${why}`);
  announce(`cannot look: ${why}`);
}

function replace(fresh) {
  const main = document.getElementById("main"), before = main.dataset.said;
  for (const open of main.querySelectorAll("details[open]")) {
    const same = fresh.querySelector(`#${CSS.escape(open.id)}`);
    if (same) same.open = true;
  }
  const path = focusPath(main);
  Charts.keep(fresh);
  main.replaceChildren(...fresh.childNodes);
  main.dataset.said = fresh.dataset.said;
  document.title = fresh.dataset.title;
  if (path) main.querySelector(path)?.focus({ preventScroll: true });
  Charts.draw();
  if (before !== main.dataset.said) announce(main.dataset.said);
}

function focusPath(main) {
  const focused = document.activeElement;
  if (!main.contains(focused) || focused === main) return null;
  if (focused.id) return `#${CSS.escape(focused.id)}`;
  if (focused.tagName === "SUMMARY") return `#${CSS.escape(focused.parentElement.id)} > summary`;
  return focused.getAttribute("href") ? `a[href="${CSS.escape(focused.getAttribute("href"))}"]` : null;
}

function pause() {
  paused = !paused;
  show(paused ? "paused; p goes on" : "goes on");
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea, select")) return;
  const tab = document.querySelector(`nav a[data-key="${CSS.escape(event.key)}"]`);
  if (tab) tab.click();
  else if (event.key === "r") readAgain();
  else if (event.key === "p") pause();
});

if (location.hash) {
  const row = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  row?.querySelector("details")?.setAttribute("open", "");
}
Charts.draw();
show(`read at ${clock()} UTC`);
timer = setTimeout(byItself, EVERY_MS);
