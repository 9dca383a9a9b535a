
/* the figures that the page holds: averages, means by setting, errors of differences */
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const unpack = ({ low, high, width, text }) => {
  const steps = 64 ** width - 2;
  const numbers = [];
  for (let start = 0; start < text.length; start += width) {
    let code = 0;
    for (let place = start; place < start + width; place += 1) {
      code = code * 64 + ALPHABET.indexOf(text[place]);
    }
    const number = code === 0 ? NaN : low + (code - 1) / steps * (high - low);
    numbers.push(text[start] === "." ? -Infinity : number);
  }
  return numbers;
};
const unpackAll = (table) => {
  const unpacked = {};
  return (key) => { unpacked[key] ??= table[key] ? unpack(table[key]) : []; return unpacked[key]; };
};
const average = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/* a measure in a kind of settings, for the languages that are chosen; null for no value */
const makeFigures = (data) => {
  const count = data.systems.length;
  const [means, errors] = [data.means, data.errors].map(unpackAll);
  const estimates = Object.fromEntries(Object.entries(data.estimates).map(([key, table]) => [key, unpackAll(table)]));
  const chosen = { queries: null, passages: null }; /* sets of codes; null for all languages */
  const isChosen = (codes, code) => !codes || ["all", "mixed", "image"].includes(code) || codes.has(code);
  const hasChoice = () => Boolean(chosen.queries || chosen.passages);
  const listPlaces = (kind) => data.settings.flatMap(([name, queries, passages], place) => (
    name === kind && isChosen(chosen.queries, queries) && isChosen(chosen.passages, passages)
      ? [place] : []));
  const placesOf = {}; /* the settings of each kind */
  data.settings.forEach(([kind], place) => (placesOf[kind] ??= []).push(place));
  const readMean = (measure, place, system) => {
    const [kind] = data.settings[place];
    return means(`${measure} ${kind}`)[system * placesOf[kind].length + place - placesOf[kind][0]] ?? NaN;
  };
  return {
    data,
    chosen,
    hasChoice,
    readMean,
    listPlaces,
    readEstimate: (measure, kind, system) => {
      const [mean, low, high, unbiased] = ["mean", "low", "high", "unbiased"]
        .map((name) => estimates[`${measure} ${kind}`]?.(name)[system] ?? NaN);
      if (Number.isNaN(mean)) return null;
      if (!hasChoice()) return { mean, low, high, unbiased };
      const values = listPlaces(kind).map((place) => readMean(measure, place, system))
        .filter((value) => value === value);
      /* intervals and unbiased values are those of all languages */
      return values.length ? { mean: average(values), low: NaN, high: NaN, unbiased: NaN } : null;
    },
    readError: (measure, kind, first, second) => {
      const [i, j] = [Math.min(first, second), Math.max(first, second)];
      const place = i * count - i * (i + 1) / 2 + j - i - 1;
      const { groups, quantiles = {} } = data.errors[`${measure} ${kind}`] ?? {};
      const n = groups?.[first] ?? groups;
      const stored = Math.exp(errors(`${measure} ${kind}`)[place] ?? NaN); /* of a logarithm */
      const error = hasChoice() || i === j ? NaN : stored;
      return { error, groups: n, margin: quantiles[n] * error };
    },
  };
};

/* numbers as the rest of the page has them: four decimals for shares, one for numbers of ranks; size is the largest of those side by side */
const formatValue = (value, size = value) => {
  if (Math.abs(size) >= 10) {
    return value.toLocaleString("en-US", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
  }
  return Math.abs(value) < 1 ? value.toFixed(4).replace("0.", ".") : value.toFixed(4);
};
const formatSigned = (value, size = value) => {
  const text = formatValue(Math.abs(value), size);
  return /[1-9]/.test(text) ? `${value > 0 ? "+" : "-"}${text}` : text;
};
const formatBounds = (low, high, size = Math.max(Math.abs(low), Math.abs(high))) => `${formatSigned(low, size)} to ${formatSigned(high, size)}`;

/* how far a value is from the best possible, for each direction that a measure declares */
const LOSSES = {
  higher: ({ mean }) => -mean,
  lower: ({ mean }) => mean,
  "near the unbiased value": ({ mean, unbiased }) => Math.abs(mean - unbiased),
};

/* the column that ranks: where passages are chosen, that of their languages and not that of the pool */
const findRanking = ({ figures: { data, chosen, readEstimate }, measure }) => {
  const isPair = chosen.passages && data.ranking === "multi";
  const kinds = [...(isPair ? ["cross", "mono"] : []), data.ranking, "mono", "cross", "multi"];
  const hasValue = (kind) => data.systems.some((_, system) => readEstimate(measure, kind, system));
  const kind = kinds.find(hasValue);
  return data.columns.find((column) => kind && column.kind === kind && !column.measure && !column.role);
};
/* how far each system is from the best possible value of the column that ranks */
const listLosses = ({ figures, measure, ranking }) => figures.data.systems.map((_, system) => {
  const estimate = ranking && figures.readEstimate(measure, ranking.kind, system);
  const loss = estimate ? LOSSES[ranking.direction](estimate) : NaN;
  return loss === loss ? loss : Infinity;
});
const describeRanking = ({ figures: { data, chosen, hasChoice }, measure, ranking }) => {
  const text = `${measure}, ${data.kinds[ranking.kind]} (${ranking.title})`;
  const name = (codes) => (codes ? [...codes].map((code) => data.languages[code]).join(", ") : "all languages");
  if (!hasChoice()) return text;
  return `${text}: queries in ${name(chosen.queries)}, passages in ${name(ranking.kind === "multi" ? null : chosen.passages)}`;
};
