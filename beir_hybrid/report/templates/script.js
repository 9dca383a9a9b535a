"use strict";
const each = (root, selector, act) => root.querySelectorAll(selector).forEach(act);
const page = document.documentElement;

/* switch the theme: light, dark, or that of the system */
each(document, ".theme", (button) => {
  const themes = ["auto", "light", "dark"];
  const show = () => { button.textContent = `Theme: ${page.dataset.theme || "auto"}`; };
  button.addEventListener("click", () => {
    const next = themes[(themes.indexOf(page.dataset.theme || "auto") + 1) % themes.length];
    if (next === "auto") delete page.dataset.theme; else page.dataset.theme = next;
    try { localStorage.setItem("beir-hybrid-theme", next); } catch { /* lasts for this page only */ }
    show();
  });
  show();
  button.hidden = false;
});

/* copy a block of commands */
each(document, ".copy", (button) => {
  const block = document.getElementById(button.dataset.text);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(block.textContent);
    } catch {
      getSelection().selectAllChildren(block);
      document.execCommand("copy");
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  button.hidden = false;
});

/* sort a table by a column; rows without a value stay last, variants below their model */
const statusLine = document.getElementById("status");
const sortKey = (cell) => cell.querySelector(".v:not([hidden])")?.dataset.sort ?? "";
function sort(table, heading, direction) {
  const column = [...heading.parentElement.children].indexOf(heading);
  const isNumber = heading.dataset.type === "number";
  const sign = direction === "ascending" ? 1 : -1;
  const compare = (a, b) => {
    if (a === "" || b === "") return (a === "") - (b === "");
    return sign * (isNumber ? a - b : a.localeCompare(b, "en"));
  };
  const groups = [...table.tBodies].map((body) => {
    const rows = [...body.rows].map((row) => ({ row, key: sortKey(row.cells[column]) }));
    const [model, ...variants] = rows;
    variants.sort((first, second) => compare(first.key, second.key));
    body.append(model.row, ...variants.map((variant) => variant.row));
    return { body, key: rows.map((row) => row.key).sort(compare)[0] };
  });
  groups.sort((first, second) => compare(first.key, second.key));
  table.append(...groups.map((group) => group.body));
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
      const current = heading.getAttribute("aria-sort");
      const reverse = current === "ascending" ? "descending" : "ascending";
      const direction = current ? reverse : heading.dataset.first;
      sort(table, heading, direction);
      statusLine.textContent = `sorted by ${button.textContent.trim()}, ${direction}`;
    });
  });
});

/* choose the measure that a table shows */
each(document, "select.measure", (select) => {
  const table = document.getElementById(select.dataset.table);
  const choose = () => {
    each(table, ".v[data-measure]", (value) => { value.hidden = value.dataset.measure !== select.value; });
    each(table, ".chosen", (name) => { name.textContent = select.value; });
    const heading = table.querySelector("th[aria-sort]");
    if (heading) sort(table, heading, heading.getAttribute("aria-sort"));
  };
  select.addEventListener("change", choose);
  choose(); /* a browser may keep a choice over a reload */
});

/* filter rows by words, and sections by dataset */
const filter = document.getElementById("filter");
const dataset = document.getElementById("dataset");
if (filter) {
  const apply = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let visible = 0;
    let total = 0;
    each(document, "section.dataset", (section) => {
      section.hidden = dataset.value !== "" && dataset.value !== section.id;
      each(section, "table.board tbody tr", (row) => {
        const text = row.dataset.text;
        row.hidden = !words.every((word) => text.includes(word));
        total += 1;
        visible += !row.hidden && !section.hidden;
      });
    });
    document.getElementById("count").textContent = `${visible} of ${total} systems`;
  };
  filter.addEventListener("input", apply);
  dataset.addEventListener("change", apply);
  apply();
}
each(document, ".controls", (controls) => { controls.hidden = false; });
