
/* the table as it shows: CSV with six digits, LaTeX with the digits of the page */
const listCells = (board) => {
  const isShown = (cell) => !cell.hidden;
  const headings = [...board.table.tHead.rows[1].cells].filter(isShown);
  const rows = [...board.table.tBodies].flatMap((body) => [...body.rows]).filter((row) => !row.hidden);
  return { headings, rows: rows.map((row) => [...row.cells].filter(isShown)) };
};
const readText = (cell) => {
  if (cell.tagName === "TH") return sortKey(cell) + (cell.closest(".published") ? " (published)" : "");
  return (cell.querySelector("strong, a") ?? cell.firstChild)?.textContent.trim() ?? "";
};
/* with which a spreadsheet begins a formula, wide forms included */
const FORMULA = /^\s*[=+\-@＝＋－＠−]/;
const quoteCell = (text, isNumber) => {
  const safe = !isNumber && FORMULA.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
};
/* as many digits as the page has of a figure that it computes; numbers of parameters are whole */
const writeNumber = (text) => (text === "" || Number.isInteger(+text) ? text : String(+(+text).toPrecision(6)));
const writeCsv = (board) => {
  const { headings, rows } = listCells(board);
  const isNumber = headings.map((heading) => heading.dataset.type === "number");
  const lines = [headings.map((heading) => quoteCell(heading.textContent.trim(), false)),
    ...rows.map((cells) => cells.map((cell, place) => (
      quoteCell(isNumber[place] ? writeNumber(sortKey(cell)) : readText(cell), isNumber[place]))))];
  return lines.map((line) => `${line.join(",")}\n`).join("");
};
const LATEX = {
  "\\": "\\textbackslash{}", "{": "\\{", "}": "\\}", $: "\\$", "&": "\\&", "#": "\\#", "%": "\\%", _: "\\_",
  "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "<": "\\textless{}", ">": "\\textgreater{}",
  "|": "\\textbar{}", '"': "''", "[": "{[}", "]": "{]}", "*": "{*}",
};
const escapeLatex = (text) => text.replace(/[\\{}$&#%_~^<>|"[\]*]/g, (sign) => LATEX[sign])
  .replace(/(?<=-)-/g, "{-}").replace(/\s+/g, " ");
const writeLatex = (board) => {
  const { headings, rows } = listCells(board);
  const columns = headings.map((heading) => (heading.dataset.type === "number" ? "r" : "l")).join("");
  const write = (cell) => {
    const content = readText(cell);
    const text = /^-[\d.]+$/.test(content) ? `$${content}$` : escapeLatex(content);
    return cell.querySelector("strong") ? `\\textbf{${text}}` : text;
  };
  const line = (texts) => `${texts.join(" & ")} \\\\`;
  return [
    "% \\usepackage{booktabs}", `% ${escapeLatex(`${board.title}, ${board.ranking ? describeRanking(board) : board.measure}`)}`,
    `\\begin{tabular}{${columns}}`, "\\toprule",
    line(headings.map((heading) => escapeLatex(heading.textContent.trim()))), "\\midrule",
    ...rows.map((cells) => line(cells.map(write))), "\\bottomrule", "\\end{tabular}", "",
  ].join("\n");
};
/* the dataset, and the languages if some are chosen */
const nameFile = ({ section, figures: { chosen } }) => [section.id, ...["queries", "passages"].flatMap((side) => (
  chosen[side] ? [side, ...chosen[side]] : []))].join("-");
const download = (name, text) => {
  const address = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  make("a", { href: address, download: name }).click();
  URL.revokeObjectURL(address);
};
