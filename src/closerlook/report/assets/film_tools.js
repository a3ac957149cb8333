// Small things that the film's page uses: text, numbers, colours, elements. Text from data is only ever textContent.
const colourOf = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const percent = (share) => (share === null ? "-" : `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`);
const short = (text, length) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);
const counted = (n) => n.toLocaleString("en");

function rgb(hex) {
  const value = parseInt(hex.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

function roundNumber(limit) {
  const power = 10 ** Math.floor(Math.log10(limit));
  return [5, 2, 1].map((lead) => lead * power).find((value) => value <= limit) || power;
}

function element(tag, content = "", properties = {}) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...[content].flat());
  return made;
}

function fill(select, options) {
  select.replaceChildren(...options.map(([value, text]) => element("option", text, { value })));
}

// The text of an example with its words marked, as nodes; of a long text the part around the first mark.
function markedText(texts, i, length = Infinity) {
  const found = pieces(texts, i);
  const at = found.findIndex(([, isMarked]) => isMarked);
  if (at > 0 && found[0][0].length > length / 2) found[0] = [`…${found[0][0].slice(-length / 2)}`, false];
  let left = length;
  return found.map(([piece, isMarked]) => {
    const text = short(piece, Math.max(left, 1));
    left -= text.length;
    return isMarked ? element("mark", text) : document.createTextNode(text);
  }).slice(0, 12);
}

// From dark to light, seen on white and on black: how much of something there is.
const SCALE = ["#5b3a8e", "#3b6ea5", "#2a9d8f", "#6cbf4b", "#d9c21c"].map(rgb);
function scaled(share) {
  const at = Math.min(Math.max(share, 0), 1) * (SCALE.length - 1);
  const [from, part] = [Math.min(Math.floor(at), SCALE.length - 2), at - Math.min(Math.floor(at), SCALE.length - 2)];
  return SCALE[from].map((value, k) => Math.round(value + (SCALE[from + 1][k] - value) * part));
}
