
/* sort a table by a column; rows without a value stay last, variants below their model; equal rows are in the order of the page */
const sortKey = (cell) => cell.dataset.sort ?? (cell.querySelector(".v") ?? cell).textContent.trim();
function sort(table, heading, direction) {
  const column = [...heading.parentElement.children].indexOf(heading);
  const isNumber = heading.dataset.type === "number";
  const sign = direction === "ascending" ? 1 : -1;
  const compare = (a, b) => {
    if (a === "" || b === "") return (a === "") - (b === "");
    return sign * (isNumber ? a - b : a.localeCompare(b, "en"));
  };
  const inOrder = (rows) => rows.sort((a, b) => a.dataset.system - b.dataset.system);
  const groups = inOrder([...table.tBodies].map((body) => inOrder([...body.rows])[0])).map(({ parentElement: body }) => {
    const rows = inOrder([...body.rows]).map((row) => ({ row, key: sortKey(row.cells[column]) }));
    const model = rows.find(({ row }) => !row.classList.contains("variant"));
    const variants = rows.filter((row) => row !== model);
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
      table.dispatchEvent(new Event("sorted", { bubbles: true }));
    });
  });
});

/* fill the cells of a table with the measure and the languages that are chosen */
const addBar = (cell, value) => {
  if (value !== "" && value >= 0 && value <= 1) cell.insertBefore(make("i", { style: `--v:${Number(value).toFixed(4)}` }), cell.querySelector("small"));
};
const fillCell = (cell, { text = "", key = "", note = "", hasBar = false, isBest = false } = {}) => {
  cell.replaceChildren();
  cell.dataset.sort = key;
  if (text === "") return;
  cell.append(isBest ? make("strong", {}, text) : text);
  if (note) cell.append(make("small", {}, note));
  if (hasBar) addBar(cell, key);
};
const showEstimate = (estimate, isBest) => {
  if (!estimate) return {};
  const { mean, low, high, unbiased } = estimate;
  const notes = low === low ? [`${formatValue(low)} to ${formatValue(high)}`] : [];
  if (unbiased) notes.push(`unbiased ${formatValue(unbiased)}`);
  return { text: formatValue(mean), key: mean, note: notes.join("\n"), hasBar: true, isBest };
};
const showGain = (figures, column, measure, system) => {
  const { model } = figures.data.systems[system];
  if (model == null) return {};
  const gain = figures.data.gains[system]?.[measure];
  if (!figures.hasChoice()) {
    if (!gain) return {};
    return { text: formatSigned(gain[0]), key: gain[0], note: formatBounds(gain[1], gain[2]) };
  }
  const [own, plain] = [system, model].map((place) => figures.readEstimate(measure, column.kind, place));
  return own && plain ? { text: formatSigned(own.mean - plain.mean), key: own.mean - plain.mean } : {};
};
const addBars = ({ rows, figures }) => figures.data.columns.forEach(({ kind, role }, index) => {
  if (kind && !role) rows.forEach((row) => addBar(row.cells[index + 1], sortKey(row.cells[index + 1])));
});
/* ranks of a test need all languages; those of a choice are places by the value */
const listRanks = (board) => {
  const { figures, measure } = board;
  const ranks = figures.data.ranks[measure] ?? [];
  if (!figures.hasChoice()) return ranks;
  const losses = listLosses(board).map((loss, system) => (
    figures.data.compared.includes(system) ? loss : Infinity));
  return losses.map((loss) => (loss < Infinity ? 1 + losses.filter((rival) => rival < loss).length : null));
};
const fillTable = (board) => {
  const { rows, figures, measure } = board;
  const isPublished = rows.map((row) => row.classList.contains("published"));
  figures.data.columns.forEach((column, index) => {
    if (column.role === "rank") {
      const ranks = listRanks(board);
      rows.forEach((row, system) => {
        const rank = ranks[system];
        fillCell(row.cells[index + 1], rank == null ? {} : { text: String(rank), key: rank });
      });
    } else if (column.role === "gain") {
      rows.forEach((row, system) => {
        fillCell(row.cells[index + 1], showGain(figures, column, measure, system));
      });
    } else if (column.kind) {
      const estimates = rows.map((_, system) => (
        figures.readEstimate(column.measure || measure, column.kind, system)));
      const losses = estimates.map((estimate, system) => (
        estimate && !isPublished[system] ? LOSSES[column.direction](estimate) : NaN));
      const known = losses.filter((loss) => loss === loss);
      const best = Math.min(...known);
      estimates.forEach((estimate, system) => {
        const isBest = known.length > 1 && losses[system] === best;
        fillCell(rows[system].cells[index + 1], showEstimate(estimate, isBest));
      });
    }
  });
};

/* show the chosen columns of a table that have any value, and the headings above them */
const chooseColumns = (table, boxes) => {
  const rows = [...table.tBodies].flatMap((body) => [...body.rows]);
  const hasValue = (index) => rows.some((row) => row.cells[index].textContent.trim() !== "");
  const isShown = [true, ...boxes.map((box, place) => box.checked && hasValue(place + 1))];
  for (const row of [table.tHead.rows[1], ...rows]) {
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
