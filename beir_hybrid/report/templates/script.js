"use strict";
const each = (where, what, act) => where.querySelectorAll(what).forEach(act);
const root = document.documentElement;

/* light, dark, or as the system has it */
each(document, ".theme", (button) => {
  const names = ["auto", "light", "dark"];
  const show = () => { button.textContent = `Theme: ${root.dataset.theme || "auto"}`; };
  button.addEventListener("click", () => {
    const next = names[(names.indexOf(root.dataset.theme || "auto") + 1) % names.length];
    if (next === "auto") delete root.dataset.theme; else root.dataset.theme = next;
    try { localStorage.setItem("beir-hybrid-theme", next); } catch { /* not kept, then */ }
    show();
  });
  show();
  button.hidden = false;
});

/* copy a block of commands */
each(document, ".copy", (button) => {
  const text = document.getElementById(button.dataset.of);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text.textContent);
    } catch {
      getSelection().selectAllChildren(text);
      document.execCommand("copy");
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  button.hidden = false;
});

/* sort a table by a column; what has no value stays last */
const said = document.getElementById("said");
const shown = (cell) => cell.querySelector(".v:not([hidden])")?.dataset.sort ?? "";
function sort(table, heading, direction) {
  const at = [...heading.parentElement.children].indexOf(heading);
  const numbers = heading.dataset.type === "number";
  const sign = direction === "ascending" ? 1 : -1;
  const rows = [...table.tBodies[0].rows];
  const keys = new Map(rows.map((row) => [row, shown(row.cells[at])]));
  rows.sort((one, other) => {
    const [a, b] = [keys.get(one), keys.get(other)];
    if (a === "" || b === "") return (a === "") - (b === "");
    return sign * (numbers ? a - b : a.localeCompare(b, "en"));
  });
  table.tBodies[0].append(...rows);
  each(table, "th[aria-sort]", (th) => th.removeAttribute("aria-sort"));
  heading.setAttribute("aria-sort", direction);
}
each(document, "table.board", (table) => {
  each(table, "th[data-type]", (heading) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const now = heading.getAttribute("aria-sort");
      const turned = now === "ascending" ? "descending" : "ascending";
      const direction = now ? turned : heading.dataset.first;
      sort(table, heading, direction);
      said.textContent = `sorted by ${button.textContent.trim()}, ${direction}`;
    });
  });
});

/* choose the measure of a table */
each(document, "select.measure", (select) => {
  const table = document.getElementById(select.dataset.of);
  const choose = () => {
    each(table, ".v[data-measure]", (value) => { value.hidden = value.dataset.measure !== select.value; });
    each(table, ".chosen", (name) => { name.textContent = select.value; });
    const sorted = table.querySelector("th[aria-sort]");
    if (sorted) sort(table, sorted, sorted.getAttribute("aria-sort"));
  };
  select.addEventListener("change", choose);
  choose(); /* a browser may have kept a choice over a reload */
});

/* keep the rows that have a text, of one dataset or all */
const filter = document.getElementById("filter");
const dataset = document.getElementById("dataset");
if (filter) {
  const apply = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let seen = 0;
    let all = 0;
    each(document, "section.dataset", (section) => {
      section.hidden = dataset.value !== "" && dataset.value !== section.id;
      each(section, "table.board tbody tr", (row) => {
        const text = row.dataset.text;
        row.hidden = !words.every((word) => text.includes(word));
        all += 1;
        seen += !row.hidden && !section.hidden;
      });
    });
    document.getElementById("count").textContent = `${seen} of ${all} systems`;
  };
  filter.addEventListener("input", apply);
  dataset.addEventListener("change", apply);
  apply();
}
each(document, ".controls", (controls) => { controls.hidden = false; });
