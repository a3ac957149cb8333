// The examples of one run: what stands in the page is unpacked layer by layer, when a layer is looked at first.
const UNKNOWN = 255;
const NO_LABEL = 65535;

class FilmRun {
  constructor(page) {
    this.page = page;
    this.meta = JSON.parse(page.getElementById("meta").textContent);
    this.n = this.meta.gold.length;
    this.snapshots = this.meta.snapshots.length;
    this.kept = new Map();
    this.splitOf = new Uint8Array(this.n);
    let start = 0;
    this.meta.splits.forEach(({ drawn }, split) => { this.splitOf.fill(split, start, start + drawn); start += drawn; });
  }

  async bytes(id) {
    const packed = Uint8Array.from(atob(this.page.getElementById(id).textContent.trim()), (c) => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  once(key, make) {
    if (!this.kept.has(key)) this.kept.set(key, make());
    return this.kept.get(key);
  }

  // Whole numbers (snapshots x examples x 2): the first snapshot, then changes; low bytes before high bytes.
  positions(layer, picture) {
    return this.once(`${picture}-${layer}`, async () => {
      const bytes = await this.bytes(`${picture}-${layer}`);
      const half = bytes.length / 2;
      const values = new Int16Array(half);
      for (let i = 0; i < half; i++) values[i] = bytes[i] | (bytes[half + i] << 8);
      for (let i = 2 * this.n; i < half; i++) values[i] += values[i - 2 * this.n];
      return values;
    });
  }

  // What is known of each example at each snapshot of a layer: arrays of snapshots x examples.
  told(layer) {
    return this.once(`told-${layer}`, async () => {
      const bytes = await this.bytes(`told-${layer}`);
      const size = this.n * this.snapshots;
      const view = new DataView(bytes.buffer);
      const pairs = (at) => Uint16Array.from({ length: size }, (_, i) => view.getUint16(at + 2 * i, true));
      const single = (number) => bytes.subarray(8 + 4 * size + number * size, 8 + 4 * size + (number + 1) * size);
      return { unit: view.getFloat64(0, true) / 254, nearest: pairs(8), predicted: pairs(8 + 2 * size),
        joint: single(0), own: single(1), other: single(2), self: single(3), hits: single(4), witness: single(5) };
    });
  }

  // The tuned head's answers; they are of the last layer, whatever layer is looked at.
  answers() {
    const layer = this.meta.head;
    return layer === null ? Promise.resolve(null) : this.told(layer).then((told) => told.predicted);
  }

  texts() {
    return this.once("texts", async () => {
      const found = JSON.parse(new TextDecoder().decode(await this.bytes("texts")));
      found.lower = found.contexts.map((text) => text.toLowerCase());
      return found;
    });
  }
}

// An example's text in pieces, [text, is marked].
function pieces(texts, i) {
  const [context, ...spans] = texts.where[i];
  const text = texts.contexts[context];
  const found = [];
  let at = 0;
  for (let k = 0; k < spans.length; k += 2) {
    found.push([text.slice(at, spans[k]), false], [text.slice(spans[k], spans[k + 1]), true]);
    at = spans[k + 1];
  }
  found.push([text.slice(at), false]);
  return found.filter(([piece]) => piece);
}

const markedWords = (texts, i) => pieces(texts, i).filter(([, isMarked]) => isMarked).map(([piece]) => piece).join(" ");
