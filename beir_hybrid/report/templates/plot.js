
const shortenNumber = (number) => {
  for (const [size, sign] of [[1e9, "B"], [1e6, "M"], [1e3, "k"]]) {
    if (number >= size) return `${Number((number / size).toPrecision(3))}${sign}`;
  }
  return String(Number(number.toPrecision(3)));
};
/* a plot of the visible systems by two figures; the systems that no other beats in both are joined */
const FACTS = {
  size: { label: "Parameters", direction: "lower", read: (system) => system.size, isLog: true, show: shortenNumber },
  speed: {
    label: "Seconds for 1,000 texts", direction: "lower", read: (system) => system.speed && 1000 / system.speed, isLog: true, show: shortenNumber,
  },
};
const makeAxis = ({ figures, measure }, name) => {
  if (FACTS[name]) {
    const { read, ...fact } = FACTS[name];
    return { ...fact, read: (place) => {
      const value = read(figures.data.systems[place]);
      return value ? { mean: value, low: NaN, high: NaN } : null;
    } };
  }
  const column = figures.data.columns.find(({ title }) => title === name);
  const label = column.measure ? column.title : `${measure}, ${figures.data.kinds[column.kind]}`;
  const read = (place) => figures.readEstimate(column.measure || measure, column.kind, place);
  return { label, direction: column.direction, read, isLog: false, show: formatValue };
};
/* without logarithms, one poor system would push all others together */
const isWide = ({ direction }, values) => direction === "lower" && Math.max(...values) > 10 * Math.min(...values) && Math.min(...values) > 0;
const listTicks = (low, high) => {
  const rough = (high - low) / 5 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((size) => size * power >= rough);
  const ticks = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high + step / 1e6; tick += step) ticks.push(tick);
  return ticks;
};
/* a scale from values to pixels; places are rounded, so that equal views are equal texts */
const makeScale = (axis, bounds, from, to) => {
  const turn = axis.isLog ? Math.log10 : (value) => value;
  let [low, high] = [Math.min(...bounds.map(turn)), Math.max(...bounds.map(turn))];
  const margin = (high - low) * 0.06 || Math.abs(high) * 0.06 || 1;
  [low, high] = [low - margin, high + margin];
  const place = (value) => Math.round((from + (turn(value) - low) / (high - low) * (to - from)) * 10) / 10;
  const ticks = axis.isLog
    ? [1, 2, 5].flatMap((digit) => [...Array(24).keys()].map((power) => digit * 10 ** (power - 8)))
      .filter((tick) => turn(tick) >= low && turn(tick) <= high).sort((a, b) => a - b)
    : listTicks(low, high);
  return { place, ticks };
};
const findFront = (points, axes) => {
  const loss = (point, side) => LOSSES[axes[side].direction](point[side]);
  const isBeaten = (point) => points.some((rival) => (
    loss(rival, "x") <= loss(point, "x") && loss(rival, "y") <= loss(point, "y")
    && (loss(rival, "x") < loss(point, "x") || loss(rival, "y") < loss(point, "y"))));
  const hasLosses = (point) => ["x", "y"].every((side) => loss(point, side) === loss(point, side));
  return points.filter((point) => !point.isPublished && hasLosses(point) && !isBeaten(point));
};
/* short names stand beside their points where there is room, else numbers that the list below explains; the front's go first */
const PLACES = [["start", 8, 4], ["end", -8, 4], ["middle", 0, -9], ["middle", 0, 18],
  ["start", 6, -7], ["start", 6, 15], ["end", -6, -7], ["end", -6, 15]];
const placeNames = (points, { width, bottom }) => {
  const longest = width < 500 ? 18 : 36;
  const boxes = points.map(({ px, py }) => [px - 5, py - 5, px + 5, py + 5]);
  const isFree = (box) => box[0] >= 0 && box[2] <= width && box[1] >= 0 && box[3] <= bottom
    && boxes.every((rival) => box[0] >= rival[2] || box[2] <= rival[0] || box[1] >= rival[3] || box[3] <= rival[1]);
  const texts = [];
  const place = ({ px, py }, text) => PLACES.some(([anchor, dx, dy]) => {
    const [x, y, size] = [px + dx, py + dy, text.length * 7.2];
    const left = x - { start: 0, middle: size / 2, end: size }[anchor];
    const box = [left, y - 10, left + size, y + 3];
    if (!isFree(box)) return false;
    boxes.push(box);
    texts.push(make("text", { x, y, "text-anchor": anchor, class: "name" }, text));
    return true;
  });
  const numbered = points.filter((point) => point.name.length > longest || !place(point, point.name));
  numbered.forEach((point, index) => {
    const number = String(index + 1);
    if (!place(point, number)) texts.push(make("text", { x: point.px, y: point.py + 4, "text-anchor": "middle", class: "name" }, number));
  });
  return { texts, numbered };
};
const drawAxes = (axes, scales, frame) => {
  const { left, right, top, bottom, width } = frame;
  const parts = [];
  let end = -1e9;
  for (const tick of scales.x.ticks) {
    const x = scales.x.place(tick);
    parts.push(make("line", { x1: x, x2: x, y1: top, y2: bottom, class: "grid" }));
    const text = axes.x.isLog ? shortenNumber(tick) : shortenNumber(Math.round(tick * 1e6) / 1e6);
    if (x - text.length * 3.5 > end) {
      parts.push(make("text", { x, y: bottom + 16, "text-anchor": "middle" }, text));
      end = x + text.length * 3.5 + 6;
    }
  }
  for (const tick of scales.y.ticks) {
    const y = scales.y.place(tick);
    parts.push(make("line", { x1: left, x2: right, y1: y, y2: y, class: "grid" }));
    parts.push(make("text", { x: left - 6, y: y + 4, "text-anchor": "end" }, shortenNumber(Math.round(tick * 1e6) / 1e6)));
  }
  const advise = ({ direction, unbiased }) => {
    if (direction !== "near the unbiased value") return `${direction} is better`;
    return unbiased == null ? "best near the unbiased value" : "best near the dashed line";
  };
  const describe = (axis) => `${axis.label} (${advise(axis)}${axis.isLog ? ", logarithmic" : ""})`;
  parts.push(make("text", { x: (left + right) / 2, y: bottom + 36, "text-anchor": "middle", class: "axis" }, describe(axes.x)));
  parts.push(make("text", { x: 2, y: 12, class: "axis" }, describe(axes.y)));
  return [make("rect", { width, height: bottom + 44, class: "ground" }), ...parts];
};
const drawPoints = (points, front, frame, axes) => {
  const steps = front.toSorted((a, b) => a.px - b.px).map(({ px, py }, place) => `${place ? "L" : "M"}${px} ${py}`);
  const parts = [make("path", { d: steps.join(""), class: "front" })];
  for (const point of points) {
    const text = `${point.system.name}: ${axes.y.label} ${axes.y.show(point.y.mean)}, ${axes.x.label} ${axes.x.show(point.x.mean)}`;
    const mark = make("circle", { cx: point.px, cy: point.py, r: 5, class: front.includes(point) ? "best" : point.isPublished ? "published" : "" }, make("title", {}, text));
    if (!point.system.page) { parts.push(mark); continue; }
    const link = document.createElementNS("http://www.w3.org/2000/svg", "a");
    link.setAttribute("href", `models/${point.system.page}.html`);
    link.setAttribute("aria-label", text);
    link.append(mark);
    parts.push(link);
  }
  const order = [...front, ...points.filter((point) => !front.includes(point))];
  const { texts, numbered } = placeNames(order, frame);
  return { parts: [...parts, ...texts], numbered };
};
const drawPlot = (board) => {
  const { plot, rows, figures } = board;
  if (!plot) return;
  const axes = { x: makeAxis(board, board.controls.x.value), y: makeAxis(board, board.controls.y.value) };
  const width = Math.min(plot.clientWidth || 640, 960);
  const frame = { left: 46, right: width - 12, top: 24, bottom: Math.max(260, Math.min(460, width * 0.6)), width };
  const systems = figures.data.systems.map((system, place) => ({
    system, name: system.name.split("/").at(-1), x: axes.x.read(place), y: axes.y.read(place),
    row: rows[place], isPublished: rows[place].classList.contains("published"),
  })).filter(({ row }) => !row.hidden);
  const points = systems.filter(({ x, y }) => x && y);
  const missing = (side, other) => systems.filter((system) => !system[side] && (system[other] || side === "x"))
    .map(({ system }) => system.name);
  const lines = [["x", "y"], ["y", "x"]].map(([side, other]) => [axes[side].label, missing(side, other)])
    .filter(([, names]) => names.length).map(([label, names]) => `Without ${label}: ${names.join(", ")}.`);
  board.missing.replaceChildren(...lines.map((line) => make("p", { class: "facts" }, line)));
  plot.replaceChildren();
  if (!points.length) { plot.append(make("p", {}, "No visible system has both figures.")); return; }
  const bounds = (side) => points.map((point) => point[side].mean)
    .concat(axes[side].direction.startsWith("near") ? points.map((point) => point[side].unbiased).filter((value) => value === value) : []);
  for (const side of ["x", "y"]) {
    axes[side].isLog ||= isWide(axes[side], bounds(side));
    /* of chosen languages it is not known */
    axes[side].unbiased = points.map((point) => point[side].unbiased).find((value) => value === value);
  }
  const scales = {
    x: makeScale(axes.x, bounds("x"), frame.left, frame.right),
    y: makeScale(axes.y, bounds("y"), frame.bottom, frame.top),
  };
  points.forEach((point) => { point.px = scales.x.place(point.x.mean); point.py = scales.y.place(point.y.mean); });
  const front = findFront(points, axes);
  const label = `${axes.y.label} by ${axes.x.label}; the table above has the values`;
  const drawing = make("svg", { width, height: frame.bottom + 44, viewBox: `0 0 ${width} ${frame.bottom + 44}`, role: "group", "aria-label": label }, ...drawAxes(axes, scales, frame));
  for (const side of ["x", "y"].filter((name) => axes[name].direction.startsWith("near"))) {
    if (axes[side].unbiased == null) continue;
    const place = scales[side].place(axes[side].unbiased);
    const line = side === "x" ? { x1: place, x2: place, y1: frame.top, y2: frame.bottom }
      : { x1: frame.left, x2: frame.right, y1: place, y2: place };
    drawing.append(make("line", { ...line, class: "unbiased" }));
  }
  const { parts, numbered } = drawPoints(points, front, frame, axes);
  drawing.append(...parts);
  plot.append(drawing);
  if (numbered.length) board.missing.prepend(make("p", { class: "facts" }, `In the plot: ${numbered.map(({ system }, index) => `${index + 1} ${system.name}`).join("; ")}.`));
};
