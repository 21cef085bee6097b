// filters
const field = (name) => document.getElementById(name);
const rows = [...document.querySelectorAll(".question")], filters = document.getElementById("filters");
function matches(row) {
  const words = field("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  return words.every((word) => row.dataset.words.includes(word))
    && (!field("relation").value || row.dataset.relation === field("relation").value)
    && (!field("category").value || row.dataset.category === field("category").value)
    && (!field("modality").value || row.dataset.through.split(" ").includes(field("modality").value))
    && (!field("known").checked || row.dataset.known !== "0");
}
function filter() {
  let count = 0;
  for (const row of rows) {
    row.hidden = !matches(row);
    count += !row.hidden;
  }
  field("count").textContent = count + " of " + rows.length + (rows.length === 1 ? " question" : " questions");
  field("nothing").hidden = count > 0;
  for (const card of document.querySelectorAll(".card[data-through]")) {
    card.classList.toggle("chosen", !!field("modality").value && card.dataset.through === field("modality").value);
  }
}
filters.addEventListener("input", filter);
filters.addEventListener("submit", (event) => event.preventDefault());
filters.addEventListener("reset", () => setTimeout(filter));
// j and k go through the questions, / to the search box, a through the kinds of attention
function step(by) {
  const shown = rows.filter((row) => !row.hidden), at = shown.indexOf(document.activeElement.closest(".question"));
  const row = shown[Math.min(Math.max(at < 0 ? (by > 0 ? 0 : shown.length - 1) : at + by, 0), shown.length - 1)];
  if (row) { row.focus({ preventScroll: true }); row.scrollIntoView({ block: "start" }); }
}
Object.assign(keys, {
  j: () => step(1),
  k: () => step(-1),
  "/": () => field("search").focus(),
  a: () => {
    const kinds = [...document.querySelectorAll("input[name=attention]")];
    if (kinds.length) kinds[(kinds.findIndex((kind) => kind.checked) + 1) % kinds.length].checked = true;
  },
});
field("search").addEventListener("keydown", (event) => {
  if (event.key === "Escape") { field("search").value = ""; filter(); field("search").blur(); }
});
filter();
