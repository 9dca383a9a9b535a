
/* all boards of the page, with the elements that show them */
const figuresOf = JSON.parse(document.getElementById("figures").textContent);
const boards = [...document.querySelectorAll("section.dataset")].map((section) => {
  const rows = [...section.querySelectorAll("tr[data-system]")].sort((a, b) => a.dataset.system - b.dataset.system);
  const controls = Object.fromEntries(["measure", "x", "y", "first", "second"].map((name) => [name, section.querySelector(`select.${name}`)]));
  const figures = makeFigures(figuresOf[section.id]);
  const texts = rows.map((row, place) => `${figures.data.systems[place].name} ${row.className} ${row.dataset.text ?? ""}`.toLowerCase());
  return {
    section, rows, figures, texts, controls, title: section.querySelector("h2").textContent, table: section.querySelector("table.board"),
    plot: section.querySelector(".plot"), missing: section.querySelector(".missing-systems"),
    comparison: section.querySelector(".comparison"),
    first: section.querySelector("table.board").dataset.measure, shown: "", sorted: "",
    get measure() { return controls.measure?.value || this.first; },
  };
});

/* what needs a script: check boxes beside the systems, and the systems of a comparison */
for (const { section, rows, figures: { data }, controls: { first, second } } of boards) {
  rows.forEach((row, place) => {
    const { name, page } = data.systems[place];
    const value = page || `${name} (published)`;
    row.cells[0].prepend(make("input", { type: "checkbox", class: "choose", autocomplete: "off", "data-key": `${section.id}.system`, value, "aria-label": `Tick ${name}` }));
  });
  const compared = data.compared.map((place) => data.systems[place]);
  const options = (systems) => systems.map(({ name, page }) => make("option", { value: page }, name));
  first?.append(...options(compared));
  second?.append(...options(compared));
}

/* the measure and the languages of a table; intervals and tests are those of all languages */
const readLanguages = (section, side) => {
  const boxes = [...section.querySelectorAll(`.${side}`)];
  const codes = boxes.filter((box) => box.checked).map((box) => box.value);
  section.querySelector(`.${side}-chosen`)?.replaceChildren(codes.join(", ") || "all");
  return codes.length === boxes.length || codes.length === 0 ? null : new Set(codes);
};
const chooseFigures = (board) => {
  const { section, figures } = board;
  for (const side of ["queries", "passages"]) figures.chosen[side] = readLanguages(section, side);
  const shown = JSON.stringify([board.measure, ...["queries", "passages"].map((side) => [...(figures.chosen[side] ?? [])])]);
  board.ranking = findRanking(board);
  const isFirst = board.shown === "" && board.measure === board.first && !figures.hasChoice();
  if (isFirst) addBars(board);
  else if (shown !== board.shown) fillTable(board);
  board.shown = shown;
  each(section, ".chosen", (name) => { name.textContent = board.measure; });
  const ceiling = figures.data.ceilings[board.measure];
  section.querySelector(".ceiling").textContent = ceiling
    ? ` In the pool it is at most ${formatValue(ceiling)}, since every query has several relevant passages.` : "";
  each(section, ".choice", (note) => { note.hidden = !figures.hasChoice(); });
  each(section, ".interval", (note) => { note.hidden = figures.hasChoice(); });
  if (board.ranking) each(section, ".ranking", (name) => { name.textContent = describeRanking(board); });
};

/* a table is sorted as the reader says, or else by the column that ranks */
const describeSort = (table) => {
  const heading = table.querySelector("th[aria-sort]");
  return heading ? `${heading.textContent.trim()} ${heading.getAttribute("aria-sort")}` : "";
};
const DIRECTIONS = { higher: "descending", lower: "ascending" }; /* what is best near a value stays as the page has it */
const firstSort = ({ ranking }) => (ranking && DIRECTIONS[ranking.direction] ? `${ranking.title} ${DIRECTIONS[ranking.direction]}` : "");
const sortBoard = (board) => {
  const headings = [...board.table.querySelectorAll("th[data-type]")];
  for (const words of [board.sorted, firstSort(board)]) {
    const [, title, direction] = words.match(/^(.+) (ascending|descending)$/) ?? [];
    const column = headings.findIndex((heading) => heading.textContent.trim() === title);
    if (column === -1 || board.rows.every(({ cells }) => sortKey(cells[column]) === "")) continue;
    const order = `${words} ${board.shown}`;
    if (order !== board.order) sort(board.table, headings[column], direction);
    board.order = order;
    return;
  }
};

/* filter rows by words, ticks, family, licence, training and size, sections by dataset, and comparisons by ticks */
const filter = document.getElementById("filter");
const dataset = document.getElementById("dataset");
const onlyChosen = document.getElementById("only-chosen");
const published = document.getElementById("published");
const family = document.getElementById("family");
const licence = document.getElementById("licence");
const trainedOn = document.getElementById("trained-on");
const size = document.getElementById("size");
/* the millions that a limit looks at: BM25 has no parameters; a system that names none fits no limit, and is counted */
const findSize = ({ size: parameters, family: name }) => parameters ?? (name === "BM25" ? 0 : Infinity);
const filterRows = () => {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  const most = size.value === "" ? Infinity : size.value * 1e6;
  const ticked = new Set([...document.querySelectorAll(".choose:checked")].map((box) => box.value));
  const counts = { visible: 0, total: 0, sizeless: 0 };
  for (const { section, rows, figures, texts } of boards) {
    section.hidden = dataset.value !== "" && dataset.value !== section.id;
    rows.forEach((row, system) => {
      const millions = findSize(figures.data.systems[system]);
      row.hidden = !words.every((word) => texts[system].includes(word))
        || (onlyChosen.checked && ticked.size > 0 && !row.querySelector(".choose").checked)
        || (!published.checked && row.classList.contains("published"))
        || (family?.value && figures.data.systems[system].family !== family.value)
        || (licence?.value && figures.data.systems[system].licence !== licence.value)
        || (trainedOn?.checked === false && figures.data.systems[system].isTrainedOn)
        || !(millions <= most);
      const isCounted = published.checked || !row.classList.contains("published");
      counts.total += isCounted;
      counts.sizeless += isCounted && !section.hidden && size.value !== "" && millions === Infinity;
      counts.visible += !row.hidden && !section.hidden;
    });
    const links = [...section.querySelectorAll("ul.links li")];
    const pairs = Object.keys(figures.data.pages).map((places) => (
      places.split(" ").every((place) => rows[place].querySelector(".choose").checked)));
    const hasPair = pairs.includes(true);
    links.forEach((link, place) => { link.hidden = hasPair && !pairs[place]; });
  }
  document.getElementById("count").textContent = `${counts.visible} of ${counts.total} systems${counts.sizeless ? `, ${counts.sizeless} of unknown size left out` : ""}`;
};

/* the view is in the address: what differs from the page as it was made, so that a link shows it */
const controls = [...document.querySelectorAll("[data-key]")];
const explicit = new Set(); /* lists of which the reader or the address chose the option */
const firstValue = (control) => (control.options ? control.options[0].value : "");
/* unless chosen, the plot shows what ranks, and the best two visible systems are compared */
const followView = (board) => {
  const { controls: { y, first, second }, figures, rows, ranking } = board;
  if (y && !explicit.has(y)) y.value = (figures.hasChoice() && ranking?.title) || y.options[0].value;
  if (!first) return;
  const losses = listLosses(board);
  const order = figures.data.compared.toSorted((a, b) => rows[a].hidden - rows[b].hidden || losses[a] - losses[b] || 0)
    .map((place) => figures.data.systems[place].page);
  const choose = (control, other) => {
    if (!explicit.has(control)) control.value = order.find((page) => page !== other);
  };
  choose(first, explicit.has(second) ? second.value : "");
  choose(second, first.value);
};
const applyControls = () => {
  for (const board of boards) {
    chooseFigures(board);
    chooseColumns(board.table, [...board.section.querySelectorAll(".column")]);
    sortBoard(board);
  }
  filterRows();
  boards.forEach(followView);
  drawBoards();
};
/* what stands below a table is drawn once the table is there */
const drawBoards = () => requestAnimationFrame(() => setTimeout(() => {
  boards.filter(({ section }) => !section.hidden).forEach((board) => { drawPlot(board); showComparison(board); });
  if (!page.dataset.drawn) findPart()?.scrollIntoView();
  page.dataset.drawn = "yes";
}));
const showView = () => {
  const view = new URLSearchParams(location.hash.slice(1));
  for (const control of controls) {
    const { key } = control.dataset;
    if (control.type === "checkbox") {
      control.checked = control.defaultChecked !== view.getAll(key).includes(control.value);
    } else {
      control.value = view.get(key) ?? firstValue(control);
      const isKnown = view.has(key) && control.selectedIndex !== -1;
      explicit[isKnown ? "add" : "delete"](control);
      if (control.selectedIndex === -1) control.selectedIndex = 0; /* the address names no option */
    }
  }
  for (const board of boards) board.sorted = view.get(`${board.table.id}.sort`) ?? "";
  applyControls();
};
const writeView = () => {
  const view = new URLSearchParams();
  for (const control of controls) {
    const isChanged = control.matches(".y, .first, .second") ? explicit.has(control)
      : control.type === "checkbox" ? control.checked !== control.defaultChecked : control.value !== firstValue(control);
    if (isChanged) view.append(control.dataset.key, control.value);
  }
  for (const { table, sorted } of boards) if (sorted) view.append(`${table.id}.sort`, sorted);
  history.replaceState(null, "", `#${view}`);
};
/* two ticks choose the comparison */
const compareTicked = (section) => {
  const { first, second } = boards.find((board) => board.section === section).controls;
  const pages = new Set([...first?.options ?? []].map(({ value }) => value));
  const ticked = [...section.querySelectorAll(".choose:checked")].map((box) => box.value).filter((value) => pages.has(value));
  if (ticked.length !== 2) return;
  [first.value, second.value] = ticked;
  explicit.add(first).add(second);
};
document.addEventListener("input", ({ target }) => {
  if (!target.dataset.key) return;
  explicit.add(target);
  if (target.matches(".choose")) compareTicked(target.closest("section.dataset"));
  applyControls();
  writeView();
});
document.addEventListener("sorted", ({ target }) => {
  const board = boards.find(({ table }) => table === target);
  const order = describeSort(target);
  board.sorted = order === firstSort(board) ? "" : order;
  board.order = `${order} ${board.shown}`;
  writeView();
});
/* the address of a part of the page leads there, and keeps the view */
const findPart = () => document.getElementById(location.hash.slice(1).split("&")[0]);
addEventListener("hashchange", () => (findPart() && !location.hash.includes("&") ? writeView() : showView()));
addEventListener("resize", () => boards.forEach(drawPlot));
published.parentElement.hidden = !document.querySelector("tr.published");
document.getElementById("copy-link").addEventListener("click", async ({ currentTarget }) => {
  await copyText(location.href);
  showCopied(currentTarget);
});
for (const board of boards) {
  board.section.querySelector(".csv").addEventListener("click", () => download(`${nameFile(board)}.csv`, writeCsv(board)));
  board.section.querySelector(".latex").addEventListener("click", () => download(`${nameFile(board)}.tex`, writeLatex(board)));
}
showView();
