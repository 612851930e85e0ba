// Keeps the page up to date: exchanges what has changed in place, so that focus, selection and opened details stay,
// and says how long ago things were.
"use strict";

const trusted = window.trustedTypes ? trustedTypes.createPolicy("dpfpl", { createHTML: (html) => html }) : { createHTML: (html) => html };
const live = document.getElementById("live");
let last = document.body.dataset.event; // the newest event that the page shows
let skew = 0;                           // the server's clock minus ours, in milliseconds
let heard = Date.now();
let source;

// morph makes from look like to, keeping what is the same.
function morph(from, to) {
  if (from.nodeType !== to.nodeType || from.nodeName !== to.nodeName) return from.replaceWith(to.cloneNode(true));
  if (from.nodeType !== Node.ELEMENT_NODE) {
    if (from.data !== to.data) from.data = to.data;
    return;
  }
  if (from.nodeName === "TIME" && from.dateTime === to.dateTime) return; // it shows how long ago that was
  for (const { name } of [...from.attributes]) if (!to.hasAttribute(name) && name !== "open") from.removeAttribute(name);
  for (const { name, value } of to.attributes) if (from.getAttribute(name) !== value) from.setAttribute(name, value);
  children(from, to);
}

function children(from, to) {
  const old = [...from.childNodes], fresh = [...to.childNodes];
  fresh.forEach((node, i) => (i < old.length ? morph(old[i], node) : from.append(node.cloneNode(true))));
  old.slice(fresh.length).forEach((node) => node.remove());
}

function show(parts) {
  for (const [id, html] of Object.entries(parts)) {
    const fresh = document.createElement("template");
    fresh.innerHTML = trusted.createHTML(html);
    children(document.getElementById(id), fresh.content);
  }
  title();
  ages();
}

function title() {
  const alarm = document.querySelector(".attention .alarm") ? "! " : "";
  document.title = alarm + document.querySelector("h1").textContent;
}

function ages() {
  const now = Date.now() + skew;
  for (const t of document.querySelectorAll("time")) {
    const passed = (now - Date.parse(t.dateTime)) / 1000;
    const text = t.className === "since" ? "for " + span(Math.max(0, passed)) : age(passed);
    if (t.textContent !== text) t.textContent = text;
  }
}

function age(s) {
  if (s < -1) return "in " + span(-s);
  return s < 5 ? "just now" : span(s) + " ago";
}

function span(s) {
  if (s < 100) return Math.round(s) + " s";
  if (s < 5400) return Math.round(s / 60) + " min";
  return s < 172800 ? Math.round(s / 3600) + " h" : Math.round(s / 86400) + " days";
}

function say(on, text) {
  document.body.classList.toggle("old", !on);
  live.className = on ? "on" : "off";
  if (live.textContent !== text) live.textContent = text;
}

function listen() {
  source = new EventSource("/events?last=" + encodeURIComponent(last));
  const hear = () => {
    heard = Date.now();
    say(true, "Live.");
  };
  source.onopen = hear;
  source.onmessage = (e) => {
    hear();
    last = e.lastEventId;
    show(JSON.parse(e.data));
  };
  source.addEventListener("beat", (e) => {
    hear();
    skew = Number(e.data) - Date.now();
  });
  source.onerror = () => {
    say(false, "Not live, trying again.");
    if (source.readyState === EventSource.CLOSED) again(); // refused; the browser does not try again by itself
  };
}

function again() {
  source.close();
  clearTimeout(again.timer);
  again.timer = setTimeout(listen, 3000);
}

setInterval(() => {
  ages();
  if (Date.now() - heard > 60000) { // the connection is there and dead
    heard = Date.now();
    say(false, "Not live, trying again.");
    again();
  }
}, 1000);
title();
ages();
listen();
