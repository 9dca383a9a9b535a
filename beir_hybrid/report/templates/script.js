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
const copyText = async (text) => {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const block = document.createElement("pre");
    block.textContent = text;
    document.body.append(block);
    getSelection().selectAllChildren(block);
    document.execCommand("copy");
    block.remove();
  }
};
const showCopied = (button) => {
  const label = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = label; }, 2000);
};
each(document, ".copy", (button) => {
  button.addEventListener("click", async () => {
    await copyText(document.getElementById(button.dataset.text).textContent);
    showCopied(button);
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
      document.dispatchEvent(new Event("sorted"));
    });
  });
});

/* choose the measure that a table shows */
const chooseMeasure = (select) => {
  const table = document.getElementById(select.dataset.table);
  each(table, ".v[data-measure]", (value) => { value.hidden = value.dataset.measure !== select.value; });
  each(table, ".chosen", (name) => { name.textContent = select.value; });
  const heading = table.querySelector("th[aria-sort]");
  if (heading) sort(table, heading, heading.getAttribute("aria-sort"));
};

/* hide and show the columns of a table, and the headings above them */
const chooseColumns = (table, boxes) => {
  const isShown = [true, ...boxes.map((box) => box.checked)];
  for (const row of [table.tHead.rows[1], ...[...table.tBodies].flatMap((body) => [...body.rows])]) {
    isShown.forEach((shown, index) => { row.cells[index].hidden = !shown; });
  }
  let start = 0;
  for (const cell of table.tHead.rows[0].cells) {
    cell.dataset.span ??= cell.colSpan;
    const span = isShown.slice(start, start + Number(cell.dataset.span)).filter(Boolean).length;
    start += Number(cell.dataset.span);
    cell.hidden = span === 0;
    if (span) cell.colSpan = span;
  }
};

/* filter rows by words and ticks, sections by dataset, and comparisons by ticks */
const filter = document.getElementById("filter");
const dataset = document.getElementById("dataset");
const onlyChosen = document.getElementById("only-chosen");
const published = document.getElementById("published");
const filterRows = () => {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  const ticked = new Set([...document.querySelectorAll(".choose:checked")].map((box) => box.value));
  const isTicked = (row) => row.querySelector(".choose").checked;
  let visible = 0;
  let total = 0;
  each(document, "section.dataset", (section) => {
    section.hidden = dataset.value !== "" && dataset.value !== section.id;
    each(section, "table.board tbody tr", (row) => {
      const text = row.dataset.text;
      row.hidden = !words.every((word) => text.includes(word))
        || (onlyChosen.checked && ticked.size > 0 && !isTicked(row))
        || (!published.checked && row.classList.contains("published"));
      total += 1;
      visible += !row.hidden && !section.hidden;
    });
    const links = [...section.querySelectorAll("li[data-systems]")];
    const isAmongTicked = (link) => link.dataset.systems.split(" ").every((name) => ticked.has(name));
    const hasPair = links.some(isAmongTicked);
    links.forEach((link) => { link.hidden = hasPair && !isAmongTicked(link); });
  });
  document.getElementById("count").textContent = `${visible} of ${total} systems`;
};

/* the view is in the address: what differs from the page as it was made, so that a link shows it */
const controls = [...document.querySelectorAll("[data-key]")];
const tables = [...document.querySelectorAll("table.board")];
const describeSort = (table) => {
  const heading = table.querySelector("th[aria-sort]");
  return heading ? `${heading.textContent.trim()} ${heading.getAttribute("aria-sort")}` : "";
};
const firstSorts = new Map(tables.map((table) => [table, describeSort(table)]));
const firstValue = (control) => (control.options ? control.options[0].value : "");
const showView = () => {
  const view = new URLSearchParams(location.hash.slice(1));
  for (const control of controls) {
    const { key } = control.dataset;
    if (control.type === "checkbox") {
      control.checked = control.defaultChecked !== view.getAll(key).includes(control.value);
    } else {
      control.value = view.get(key) ?? firstValue(control);
      if (control.selectedIndex === -1) control.selectedIndex = 0; /* the address names no option */
    }
  }
  for (const table of tables) {
    const words = (view.get(`${table.id}.sort`) ?? firstSorts.get(table)).split(" ");
    const direction = words.pop();
    const heading = [...table.querySelectorAll("th[data-type]")]
      .find((th) => th.textContent.trim() === words.join(" "));
    if (heading && ["ascending", "descending"].includes(direction)) sort(table, heading, direction);
  }
  applyControls();
};
const applyControls = () => {
  each(document, "select.measure", chooseMeasure);
  for (const table of tables) {
    chooseColumns(table, controls.filter((box) => box.matches(".column") && box.dataset.table === table.id));
  }
  filterRows();
};
const writeView = () => {
  const view = new URLSearchParams();
  for (const control of controls) {
    const isChanged = control.type === "checkbox"
      ? control.checked !== control.defaultChecked : control.value !== firstValue(control);
    if (isChanged) view.append(control.dataset.key, control.value);
  }
  for (const table of tables) {
    if (describeSort(table) !== firstSorts.get(table)) view.append(`${table.id}.sort`, describeSort(table));
  }
  history.replaceState(null, "", `#${view}`);
};
if (filter) {
  document.addEventListener("input", (event) => {
    if (!event.target.dataset.key) return;
    applyControls();
    writeView();
  });
  document.addEventListener("sorted", writeView);
  addEventListener("hashchange", showView);
  published.parentElement.hidden = !document.querySelector("tr.published");
  each(document, ".choose", (box) => { box.hidden = false; });
  const button = document.getElementById("copy-link");
  button.addEventListener("click", async () => {
    await copyText(location.href);
    showCopied(button);
  });
  showView();
}
each(document, ".controls", (area) => { area.hidden = false; });
