"use strict";
// Reads the page again every few seconds and puts the new content in the place of the old one, so that what is open stays
// open and what has the focus keeps it.
const EVERY_MS = 5000;
let paused = false;

const news = document.getElementById("news");
const say = (text) => { if (news.textContent !== text) news.textContent = text; };
const clock = () => new Date().toISOString().slice(11, 19);

async function readAgain() {
  try {
    const answer = await fetch(location.href, { signal: AbortSignal.timeout(30000) });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById("main");
    if (!answer.ok) {
      say(`cannot look: ${fresh.innerText.trim().replace(/\s+/g, " ")}`);
      return;
    }
    replace(fresh);
    say(`read at ${clock()} UTC`);
  } catch (error) {
    say("cannot look: the console does not answer");
  }
}

function replace(fresh) {
  const main = document.getElementById("main");
  for (const open of main.querySelectorAll("details[open]")) {
    const same = fresh.querySelector(`#${CSS.escape(open.id)}`);
    if (same) same.open = true;
  }
  const path = focusPath(main);
  main.replaceChildren(...fresh.childNodes);
  if (path) main.querySelector(path)?.focus({ preventScroll: true });
}

function focusPath(main) {
  const focused = document.activeElement;
  if (!main.contains(focused) || focused === main) return null;
  if (focused.tagName === "SUMMARY") return `#${CSS.escape(focused.parentElement.id)} > summary`;
  return focused.getAttribute("href") ? `a[href="${CSS.escape(focused.getAttribute("href"))}"]` : null;
}

function pause() {
  paused = !paused;
  say(paused ? "paused; p goes on" : "goes on");
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
say(`read at ${clock()} UTC`);
setInterval(() => { if (!paused && !document.hidden) readAgain(); }, EVERY_MS);
