// Warns before a session that nobody uses ends, and keeps what was typed until it is sent.
// Everything works without this script; then only the warning and the draft are missing.
(function () {
  "use strict";

  var page = document.body;
  var store;
  try { store = window.sessionStorage; store.setItem("iwrs", "1"); store.removeItem("iwrs"); }
  catch (closed) { store = null; }

  // Drafts: of forms that say so, never of passwords, codes or files. One tab, one person.
  var who = page.getAttribute("data-person");
  var prefix = "draft " + who + " " + location.pathname;

  function kept(form) { return form.method === "post" && !form.hasAttribute("data-no-draft"); }
  function keepable(field) {
    return field.name && field.name !== "csrfmiddlewaretoken" &&
      ["password", "file", "hidden", "submit", "button"].indexOf(field.type) < 0 &&
      field.autocomplete !== "one-time-code";
  }
  function fields(form) { return Array.prototype.filter.call(form.elements, keepable); }
  function each(list, act) { Array.prototype.forEach.call(list, act); }

  function forget() {
    if (!store) { return; }
    Object.keys(store).forEach(function (key) {
      if (key.indexOf("draft ") === 0) { store.removeItem(key); }
    });
  }

  function save(form, number) {
    var typed = fields(form).map(function (field) {
      var chosen = field.type === "radio" || field.type === "checkbox";
      return [field.name, field.value, chosen ? field.checked : null];
    });
    try { store.setItem(prefix + " " + number, JSON.stringify(typed)); } catch (full) { /* no draft */ }
  }

  function restore(form, number) {
    var typed = JSON.parse(store.getItem(prefix + " " + number) || "null");
    if (!typed) { return false; }
    var at = {};
    typed.forEach(function (one) {
      each(fields(form), function (field) {
        if (field.name !== one[0]) { return; }
        if (one[2] === null) {
          if (at[field.name] === undefined) { field.value = one[1]; at[field.name] = true; }
        } else if (field.value === one[1]) { field.checked = one[2]; }
      });
    });
    return true;
  }

  // What was sent and accepted is forgotten; what came back, or met an ended session, is not.
  var sent = store && store.getItem("sent");
  var problems = document.querySelector(".problems");
  if (store && !who && sent) { store.setItem("interrupted", "1"); }

  if (store && who) {
    if (sent && !problems && !store.getItem("interrupted")) { store.removeItem(sent); }
    store.removeItem("sent");
    store.removeItem("interrupted");
    Object.keys(store).forEach(function (key) {
      if (key.indexOf("draft ") === 0 && key.indexOf("draft " + who + " ") !== 0) { store.removeItem(key); }
    });
    var restored = false;
    each(document.querySelectorAll("main form"), function (form, number) {
      if (!kept(form)) { return; }
      if (!problems) { restored = restore(form, number) || restored; }
      form.addEventListener("input", function () { save(form, number); });
      form.addEventListener("change", function () { save(form, number); });
      form.addEventListener("submit", function () { store.setItem("sent", prefix + " " + number); });
    });
    if (restored) {
      var said = document.createElement("p");
      said.className = "said";
      said.setAttribute("role", "status");
      said.textContent = "What you typed here before is back. It is not saved yet: check it and send it.";
      document.querySelector("main").insertBefore(said, document.querySelector("main").firstChild);
    }
    each(document.querySelectorAll("form.person"), function (form) {
      form.addEventListener("submit", forget);
    });
  }

  // The warning. Requests of another tab keep the session too, so the last one counts.
  var seconds = Number(page.getAttribute("data-ends-after"));
  if (!seconds) { return; }
  var before = Math.min(120, seconds / 2);
  var latest = Date.now();
  var bar = null;

  function used() {
    latest = Date.now();
    try { window.localStorage.setItem("iwrs used", String(latest)); } catch (closed) { /* this tab only */ }
  }
  function left() {
    var other = 0;
    try { other = Number(window.localStorage.getItem("iwrs used")) || 0; } catch (closed) { /* this tab */ }
    return seconds - (Date.now() - Math.max(latest, other)) / 1000;
  }
  function stay() {
    fetch(page.getAttribute("data-stay"), { credentials: "same-origin", cache: "no-store" })
      .then(function (got) { if (got.ok && !got.redirected) { used(); } });
  }
  function show(text, ended) {
    if (!bar) {
      bar = document.createElement("div");
      bar.className = "banner ending";
      bar.setAttribute("role", "alert");
      document.body.insertBefore(bar, document.body.firstChild);
    }
    if (bar.getAttribute("data-says") === text) { return; }
    bar.setAttribute("data-says", text);
    bar.textContent = text + " ";
    var way = document.createElement(ended ? "a" : "button");
    if (ended) { way.href = location.href; way.textContent = "Sign in again"; }
    else { way.type = "button"; way.textContent = "Stay signed in"; way.addEventListener("click", stay); }
    bar.appendChild(way);
  }

  used();
  window.setInterval(function () {
    var rest = left();
    if (rest <= 0) {
      show("You were signed out, because nothing was sent for a while. What you typed is kept in this tab.", true);
    } else if (rest <= before) {
      show("You will be signed out in " + Math.max(1, Math.ceil(rest / 60)) + " min.", false);
    } else if (bar) { bar.parentNode.removeChild(bar); bar = null; }
  }, 1000);
}());
