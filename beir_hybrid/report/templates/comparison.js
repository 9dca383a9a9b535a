
/* compare two systems: differences with intervals, bold where they are significant */
const ALPHA = 0.05;
/* the probability of a difference as far from 0 over n groups, by Student's t (Abramowitz and Stegun 26.7.3 and 4); that of n equal signs without error */
const findProbability = (difference, error, n) => {
  if (!(error > 0)) return error === 0 && difference !== 0 ? 2 ** (1 - n) : NaN;
  const freedom = n - 1, odd = freedom % 2;
  const angle = Math.atan(Math.abs(difference) / error / Math.sqrt(freedom));
  let [sum, term] = [0, Math.cos(angle) ** odd];
  for (let power = odd; power <= freedom - 2; power += 2) {
    sum += term;
    term *= (power + 1) / (power + 2) * Math.cos(angle) ** 2;
  }
  const inside = Math.sin(angle) * sum;
  return Math.max(0, 1 - (odd ? (angle + inside) * 2 / Math.PI : inside));
};
/* Holm's correction: the rows whose probability stays below the share that is left for them */
const findSignificant = (rows) => {
  const tested = rows.filter(({ p }) => p === p).sort((a, b) => a.p - b.p);
  const end = tested.findIndex(({ p }, place) => p > ALPHA / (tested.length - place));
  return new Set(end === -1 ? tested : tested.slice(0, end));
};
const listDifferences = ({ figures, measure }, first, second) => {
  const seen = new Set();
  return figures.data.columns.filter(({ role, kind }) => kind && !role).flatMap((column) => {
    const name = column.measure || measure;
    const key = `${name} ${column.kind}`;
    const [a, b] = [first, second].map((place) => figures.readEstimate(name, column.kind, place));
    if (seen.has(key) || !a || !b) return [];
    seen.add(key);
    const difference = a.mean - b.mean;
    const { error, groups, margin } = figures.readError(name, column.kind, first, second);
    const p = findProbability(difference, error, groups);
    return [{ name, column, a, b, difference, margin, p }];
  });
};
const judge = ({ a, b, column }, names) => {
  const [first, second] = [a, b].map(LOSSES[column.direction]);
  if (!(first !== second)) return "";
  const better = first < second ? names[0] : names[1];
  return column.direction.startsWith("near") ? `${better} is nearer the unbiased value` : `${better} is better`;
};
const fillDifferences = (table, board, first, second) => {
  const names = [first, second].map((place) => board.figures.data.systems[place].name);
  const rows = listDifferences(board, first, second);
  const significant = findSignificant(rows);
  const heading = (text, style) => make("th", { scope: "col", class: style }, text);
  const head = make("tr", {}, heading("measure", ""), heading("settings", ""), heading(names[0], "n name"), heading(names[1], "n name"), heading("difference", "n"), heading("95% interval", "n"), heading("result", ""));
  const body = rows.map((row) => {
    const ends = row.margin === row.margin ? [row.difference - row.margin, row.difference + row.margin] : [];
    const size = Math.max(...[row.a.mean, row.b.mean, ...ends].map(Math.abs));
    const isSure = significant.has(row);
    const cell = (text, style = "n") => make("td", { class: style }, text);
    const difference = isSure ? make("strong", {}, formatSigned(row.difference, size)) : formatSigned(row.difference, size);
    return make("tr", {}, make("th", { scope: "row" }, row.name), cell(board.figures.data.kinds[row.column.kind], "nowrap"),
      cell(formatValue(row.a.mean, size)), cell(formatValue(row.b.mean, size)), cell(difference), cell(ends.length ? formatBounds(...ends, size) : ""),
      cell(isSure ? judge(row, names) : row.p === row.p ? "no significant difference" : "", "verdict"));
  });
  table.replaceChildren(make("caption", { class: "visually-hidden" }, `Differences of ${names[0]} and ${names[1]}`), make("thead", {}, head), make("tbody", {}, ...body));
};
/* differences by language of queries (rows) and of passages (columns) */
const fillMap = (table, { figures, measure }, first, second) => {
  const cells = new Map();
  const sides = [new Set(), new Set()];
  figures.data.settings.forEach(([kind, queries, passages], place) => {
    if (!["mono", "cross", "multi", "text-image", "image-text"].includes(kind)) return;
    if (!figures.listPlaces(kind).includes(place)) return;
    const difference = figures.readMean(measure, place, first) - figures.readMean(measure, place, second);
    if (!(difference === difference)) return;
    cells.set(`${queries} ${passages}`, difference);
    sides[0].add(queries);
    sides[1].add(passages);
  });
  const order = (codes) => [...codes].sort((a, b) => (a === "all") - (b === "all") || a.localeCompare(b, "en"));
  const [rows, columns] = sides.map(order);
  const largest = Math.max(0, ...[...cells.values()].map(Math.abs));
  const title = (code) => (code === "all" ? "pool" : make("abbr", { title: figures.data.languages[code] ?? code }, code));
  const head = make("tr", {}, make("th", { scope: "col", class: "sticky" }, make("span", { class: "visually-hidden" }, "queries in")),
    ...columns.map((code) => make("th", { scope: "col", class: code === "all" ? "pool" : "" }, title(code))));
  const body = rows.map((queries) => make("tr", {}, make("th", { scope: "row", class: "sticky" }, title(queries)), ...columns.map((passages) => {
    const difference = cells.get(`${queries} ${passages}`);
    if (difference === undefined) return make("td");
    const style = `${difference > 0 ? "h" : "less"}${queries === passages ? " monolingual" : ""}${passages === "all" ? " pool" : ""}`;
    return make("td", { class: style, style: `--v:${(largest ? Math.abs(difference) / largest : 0).toFixed(3)}` }, formatSigned(difference));
  })));
  table.replaceChildren(make("caption", { class: "visually-hidden" }, "Differences by languages of queries (rows) and of passages (columns)"), make("thead", {}, head), make("tbody", {}, ...body));
  return cells.size > 0;
};
const showComparison = (board) => {
  const { comparison, figures, controls, measure } = board;
  if (!comparison) return;
  const find = (control) => figures.data.systems.findIndex(({ page }) => page === control.value);
  const [first, second] = [find(controls.first), find(controls.second)];
  const [differences, map] = comparison.querySelectorAll("table");
  const isPair = first !== second && first >= 0 && second >= 0;
  each(comparison, ".scroll, .pair, h4", (part) => { part.hidden = !isPair; });
  const note = comparison.querySelector(".note");
  note.textContent = isPair ? "" : "Choose two different systems.";
  if (!isPair) return;
  fillDifferences(differences, board, first, second);
  const names = [first, second].map((place) => figures.data.systems[place].name);
  const title = comparison.querySelector("h4");
  title.textContent = `${measure} by language: ${names[0]} less ${names[1]}`;
  const hasMap = fillMap(map, board, first, second);
  title.hidden = !hasMap;
  map.closest(".scroll").hidden = !hasMap;
  const slug = figures.data.pages[`${first} ${second}`] ?? figures.data.pages[`${second} ${first}`];
  note.append(slug ? make("a", { href: `comparisons/${slug}.html` }, "Resampled intervals and every setting of this pair")
    : "No page holds the tests of this pair.");
};
