// the table of relations is searched by name, category and pattern
const search = document.getElementById("search"), count = document.getElementById("count");
const relations = [...document.querySelectorAll(".relation")].map((row) => [row, row.textContent.toLowerCase()]);
function filter() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const [row, text] of relations) {
    row.hidden = !words.every((word) => text.includes(word));
    shown += !row.hidden;
  }
  count.textContent = shown + " of " + relations.length + (relations.length === 1 ? " relation" : " relations");
}
search.addEventListener("input", filter);
search.addEventListener("keydown", (event) => { if (event.key === "Escape") { search.value = ""; filter(); search.blur(); } });
document.getElementById("filters").addEventListener("submit", (event) => event.preventDefault());
keys["/"] = () => search.focus();
filter();
