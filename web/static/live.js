// The live page: joins the stream, the picture, the server's state and the controls.

import { Picture } from "./picture.js";
import { Server } from "./server.js";
import { Stream } from "./stream.js";
import { age, describe, fileName, NOTHING, span, timeOfDay } from "./words.js";

const REFRESH = 250; // ms between two looks at what changes by itself
const FACTS_EVERY = 500; // ms; faster cannot be read
const FROZEN_AFTER = 4; // seconds without a picture on an open stream; the server sends one a second
const HIDDEN_FOR = 5000; // ms a hidden page keeps its stream: nobody looks, the camera may sleep
const IDLE_AFTER = 3000; // ms until the controls leave a full screen

const body = document.body;
const at = (id) => document.getElementById(id);
const root = body.dataset.root;
const links = [...document.querySelectorAll("#cameras a")];

const view = {
  camera: body.dataset.camera,
  phase: "closed",
  message: "",
  pausedAt: 0, // wall clock, ms; 0 when not paused
  asleep: document.hidden, // nobody can see the page
  opened: 0, // wall clock when the stream was last opened, ms
  drawn: 0, // wall clock of the last picture drawn, ms; 0 before the first
};

const address = (end) => `${root}/cameras/${encodeURIComponent(view.camera)}/${end}`;

// ── the picture and its stream ──────────────────────────────────────────────────────────────────

const picture = new Picture(at("canvas"), (shown) => {
  const isFirst = view.drawn < view.opened;
  view.drawn = Date.now();
  const frame = at("picture").style;
  frame.setProperty("--width", shown.width);
  frame.setProperty("--height", shown.height);
  const state = shown.fields.get("x-vedette-state");
  if (isFirst || state !== body.dataset.state) refresh();
});

let stream = connect();

function connect() {
  return new Stream(
    address("stream"),
    (part) => picture.offer(part),
    (phase, message) => {
      if (phase === "open") {
        view.opened = Date.now();
        server.ask(); // who watches has just changed
      }
      view.phase = phase;
      view.message = message;
      refresh();
    },
  );
}

// Opens or closes the stream, as the page is watched or not.
function follow() {
  if (view.pausedAt === 0 && !view.asleep) {
    stream.open();
  } else {
    stream.close();
    picture.drop();
  }
}

const server = new Server(`${root}/state`, () => {
  followVersion();
  for (const link of links) {
    link.dataset.state = server.reachable ? (server.answer.cameras[link.dataset.camera]?.state ?? "") : "";
  }
  refresh();
});

// A screen that is never touched shows the page of the server it talks to. Once for each version: a
// cache on the way may go on giving the old page.
function followVersion() {
  const version = server.reachable ? server.answer.version : body.dataset.version;
  if (version === body.dataset.version || view.pausedAt !== 0 || history.state?.reloadedFor === version) return;
  history.replaceState({ reloadedFor: version }, "");
  location.reload();
}

// ── what the page says ──────────────────────────────────────────────────────────────────────────

// Written only when it differs: a live region speaks every change, and a selection survives.
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const camera = () => server.answer?.cameras[view.camera] ?? null;

function refresh() {
  const state = picture.shown?.fields.get("x-vedette-state") ?? null;
  const paused = view.pausedAt !== 0;
  const frozen = Date.now() - Math.max(view.drawn, view.opened) > 1000 * FROZEN_AFTER;
  const isOld = view.drawn < view.opened; // from before this stream was opened
  const said = describe({
    paused,
    phase: view.phase === "open" && isOld && !frozen ? "connecting" : view.phase,
    message: view.message,
    state,
    camera: camera(),
    reachable: server.reachable,
    frozen,
  });

  body.dataset.mood = said.mood;
  body.dataset.state = state ?? "";
  body.dataset.phase = paused ? "paused" : view.phase;
  write(at("state"), said.title);
  write(at("detail"), said.detail);
  at("detail").title = said.detail;
  document.title = `${said.title === "Live" ? "" : `${said.title} – `}${view.camera} – Vedette`;

  at("cover").hidden = said.cover === null;
  if (said.cover !== null) {
    write(at("cover-title"), said.cover[0]);
    write(at("cover-text"), said.cover[1]);
    const since = said.mood === "bad" && view.drawn !== 0 ? (Date.now() - view.drawn) / 1000 : 0;
    write(at("cover-since"), since >= 1 ? `The picture is ${span(since)} old` : "");
  }
  at("tag").hidden = !paused;
  if (paused) write(at("tag"), `Paused since ${timeOfDay(view.pausedAt)}`);

  // What a snapshot would be of: the camera, or while paused the picture on the screen.
  const possible = paused ? state === "live" : said.title === "Live";
  at("snapshot").setAttribute("aria-disabled", String(!possible));
}

function refreshFacts() {
  const { shown } = picture;
  const of = camera();
  const isPicture = shown !== null && shown.fields.get("x-vedette-state") === "live";
  write(at("size"), isPicture ? `${shown.width} × ${shown.height}` : NOTHING);

  const rate = isPicture && view.pausedAt === 0 && view.phase === "open" ? picture.rate : null;
  write(at("rate"), rate === null ? NOTHING : rate.toFixed(1));
  at("rate-fact").title = of?.fps ? `Drawn here; the camera gives ${of.fps.toFixed(1)}` : "Drawn here";

  const captured = Number(shown?.fields.get("x-timestamp"));
  write(at("age"), isPicture && captured > 0 && server.now !== null ? age(server.now - captured) : NOTHING);

  const viewers = of?.viewers?.length ?? server.answer?.viewers?.count;
  write(at("viewers"), server.reachable && viewers !== undefined ? String(viewers) : NOTHING);
}

setInterval(refresh, REFRESH);
setInterval(refreshFacts, FACTS_EVERY);

// ── controls ────────────────────────────────────────────────────────────────────────────────────

function togglePause() {
  view.pausedAt = view.pausedAt === 0 ? Date.now() : 0;
  const verb = view.pausedAt === 0 ? "Pause" : "Resume";
  write(at("pause").querySelector(".label"), verb);
  at("pause").title = `${verb} (Space)`;
  body.classList.toggle("paused", view.pausedAt !== 0);
  follow();
  refresh();
  refreshFacts();
}

// The link alone saves a fresh still of the camera. While paused, what is on the screen is meant.
function saveSnapshot(event) {
  const link = at("snapshot");
  if (link.getAttribute("aria-disabled") === "true") {
    event.preventDefault();
  } else if (view.pausedAt !== 0) {
    event.preventDefault();
    const saved = document.createElement("a");
    saved.href = URL.createObjectURL(picture.shown.blob);
    saved.download = fileName(view.camera, 1000 * Number(picture.shown.fields.get("x-timestamp")) || view.pausedAt);
    saved.click();
    setTimeout(() => URL.revokeObjectURL(saved.href), 60000);
  }
}

function choose(index) {
  const link = links[index];
  if (link === undefined || link.dataset.camera === view.camera) return;
  for (const other of links) other.removeAttribute("aria-current");
  link.setAttribute("aria-current", "page");
  link.scrollIntoView({ block: "nearest", inline: "nearest" });
  view.camera = link.dataset.camera;
  history.replaceState(null, "", link.href);
  at("snapshot").href = address("snapshot?download");
  at("canvas").setAttribute("aria-label", `Live picture of ${view.camera}`);

  stream.close();
  picture.clear();
  view.drawn = 0;
  stream = connect();
  if (view.pausedAt !== 0) togglePause();
  else follow();
  refresh();
  refreshFacts();
}

function chooseNext(step) {
  const now = links.findIndex((link) => link.dataset.camera === view.camera);
  choose((now + step + links.length) % links.length);
}

// A phone that has no full screen for pages (iPhone) fills its window instead.
function toggleFullScreen() {
  const entering = !body.classList.contains("full");
  setFull(entering);
  if (entering) document.documentElement.requestFullscreen?.().catch(() => {});
  else if (document.fullscreenElement) document.exitFullscreen();
}

function setFull(full) {
  body.classList.toggle("full", full);
  at("fullscreen").setAttribute("aria-pressed", String(full));
  stir();
}

let idle = 0;

function stir() {
  body.classList.remove("idle");
  clearTimeout(idle);
  if (body.classList.contains("full")) idle = setTimeout(() => body.classList.add("idle"), IDLE_AFTER);
}

const KEYS = {
  " ": togglePause,
  s: () => at("snapshot").click(),
  f: toggleFullScreen,
  ArrowLeft: () => chooseNext(-1),
  ArrowRight: () => chooseNext(1),
  Escape: () => body.classList.contains("full") && toggleFullScreen(),
};

document.addEventListener("keydown", (event) => {
  stir();
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === " " && event.target instanceof HTMLButtonElement) return; // it presses that button
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const act = key >= "1" && key <= "9" ? () => choose(Number(key) - 1) : KEYS[key];
  if (act === undefined || (event.repeat && !key.startsWith("Arrow"))) return;
  if (links.length === 0 && key.startsWith("Arrow")) return;
  event.preventDefault();
  act();
});

// Space is for the picture again after a click; who came by keyboard keeps the place.
for (const button of document.querySelectorAll(".controls > *")) {
  button.addEventListener("click", (event) => event.detail > 0 && button.blur());
}
at("pause").addEventListener("click", togglePause);
at("snapshot").addEventListener("click", saveSnapshot);
at("fullscreen").addEventListener("click", toggleFullScreen);
at("picture").addEventListener("dblclick", toggleFullScreen);
document.addEventListener("fullscreenchange", () => setFull(document.fullscreenElement !== null));
for (const kind of ["pointermove", "pointerdown", "focusin"]) document.addEventListener(kind, stir);
links.forEach((link, index) => {
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return; // a tab of its own
    event.preventDefault();
    choose(index);
  });
});

// ── being seen or not ───────────────────────────────────────────────────────────────────────────

let hiding = 0;

function wake() {
  clearTimeout(hiding);
  view.asleep = false;
  server.start();
  follow();
  stream.hurry();
}

function sleep() {
  clearTimeout(hiding);
  view.asleep = true;
  server.stop();
  follow();
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) return wake();
  server.stop();
  hiding = setTimeout(sleep, HIDDEN_FOR);
});
addEventListener("pagehide", sleep);
addEventListener("pageshow", (event) => event.persisted && wake());
addEventListener("online", () => stream.hurry());

if (!document.hidden) wake();
