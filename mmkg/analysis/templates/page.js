"use strict";
// colours: as the system, light, dark; kept where the browser lets a page keep anything
const root = document.documentElement, theme = document.getElementById("theme");
const themes = { "": ["◐", "as the system"], light: ["☀", "light"], dark: ["☾", "dark"] };
function show(name) {
  if (name) root.dataset.theme = name; else delete root.dataset.theme;
  theme.firstElementChild.textContent = themes[name][0];
  theme.setAttribute("aria-label", "Colours: " + themes[name][1]);
}
function kept() { try { return localStorage.getItem("mmkg-theme") || ""; } catch { return ""; } }
function next() {
  const names = Object.keys(themes), name = names[(names.indexOf(root.dataset.theme || "") + 1) % names.length];
  show(name);
  try { localStorage.setItem("mmkg-theme", name); } catch { /* a page from a file may keep nothing */ }
}
show(kept() in themes ? kept() : "");
theme.addEventListener("click", next);
// keys that are letters, unless somebody is typing
const keys = { t: next };
document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input[type=search], select, textarea");
  if (typing || event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys)) return;
  event.preventDefault();
  keys[event.key]();
});
