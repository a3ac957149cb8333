// One picture: a layer and a split, its points, what is written over them, and the hand that moves them.
const REACH = 12; // pixels in which a point is hit

class Pane {
  constructor(root, run, page) {
    Object.assign(this, { root, run, page, meansOf: new Map(), hover: -1, layer: 0, split: -1 });
    const find = (name) => root.querySelector(`[data-part="${name}"]`);
    this.parts = Object.fromEntries(["layer", "split", "stage", "points", "over", "caption", "tip"].map((n) => [n, find(n)]));
    this.points = new Points(this.parts.points);
    this.pen = this.parts.over.getContext("2d");
    fill(this.parts.layer, run.meta.layers.map((layer) => [layer, layer ? `layer ${layer}` : "layer 0 (embeddings)"]));
    const splits = run.meta.splits.map(({ name }, split) => [split, name]);
    fill(this.parts.split, splits.length > 1 ? [[-1, splits.map(([, name]) => name).join(" and ")], ...splits] : splits);
    for (const name of ["layer", "split"]) {
      this.parts[name].addEventListener("change", () => page.change(() => { this[name] = Number(this.parts[name].value); }));
    }
    new ResizeObserver(() => this.resize()).observe(this.parts.stage);
    this.listen();
  }

  get key() { return `${this.layer}|${this.page.state.picture}`; }

  get frame() { return this.run.meta.frames[this.layer][this.page.state.picture]; }

  // The view of this layer and picture; two panes with the same ones share it.
  get view() {
    const views = this.page.views(this.run);
    if (!views.has(this.key)) views.set(this.key, this.fitted(0.004));
    return views.get(this.key);
  }

  async show() {
    this.parts.layer.value = this.layer;
    this.parts.split.value = this.split;
    const wanted = this.key;
    const [positions, told, answers] = await Promise.all(
      [this.run.positions(this.layer, this.page.state.picture), this.run.told(this.layer), this.run.answers()]);
    if (wanted !== this.key) return; // another layer was chosen meanwhile
    Object.assign(this, { positions, told, answers });
    this.points.load({ positions });
    this.restyle();
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.parts.stage;
    if (!width || !height) return;
    const before = this.width;
    Object.assign(this, { width, height, ratio: Math.min(window.devicePixelRatio || 1, 2) });
    for (const canvas of [this.parts.points, this.parts.over]) {
      canvas.width = Math.round(width * this.ratio);
      canvas.height = Math.round(height * this.ratio);
    }
    if (before && this === this.page.panes[0]) this.page.views(this.run).forEach((view) => { view.zoom *= width / before; });
    this.draw();
  }

  // The part of the picture that holds all but a share of the points of all snapshots on each side.
  fitted(left, snapshot = -1) {
    const { positions, run: { n } } = this;
    const [first, last] = snapshot < 0 ? [0, positions.length / 2] : [snapshot * n, (snapshot + 1) * n];
    const ends = [0, 1].map((axis) => {
      const values = new Int16Array(last - first);
      for (let i = first; i < last; i++) values[i - first] = positions[2 * i + axis];
      values.sort();
      const cut = Math.floor(left * values.length);
      return [values[cut], values[values.length - 1 - cut]];
    });
    const [[x0, x1], [y0, y1]] = ends;
    const { clientWidth: width, clientHeight: height } = this.parts.stage;
    const zoom = 0.9 * Math.min((width || 600) / Math.max(x1 - x0, 16), (height || 450) / Math.max(y1 - y0, 16));
    return { x: (x0 + x1) / 2, y: (y0 + y1) / 2, zoom };
  }

  fit(left, snapshot) { Object.assign(this.view, this.fitted(left, snapshot)); this.page.redraw(); }

  inSplit(i) { return this.split < 0 || this.run.splitOf[i] === this.split; }

  // Colours and order of drawing: those that match on top, the others faint below them.
  restyle() {
    if (!this.told) return;
    const { n } = this.run;
    const [style, snapshot] = [this.page.style(this), this.page.snapshot];
    const matches = this.page.matcher(this);
    const [colours, shapes, below, above] = [new Uint8Array(4 * n), new Uint8Array(n), [], []];
    for (let i = 0; i < n; i++) {
      if (!this.inSplit(i)) continue;
      const is = matches(i, snapshot);
      const { colour, shape } = style.of(i, snapshot);
      const [red, green, blue] = is ? colour : style.faint;
      colours.set([red, green, blue, is ? 235 : 70], 4 * i);
      shapes[i] = shape;
      if (is) above.push(i); else if (!this.page.state.alone) below.push(i);
    }
    this.matched = above;
    this.meansOf.clear();
    this.points.load({ colours, shapes, order: Uint32Array.from([...below, ...above]) });
    this.caption();
    this.draw();
  }

  get size() { return Math.max(3.2, Math.min(8, 240 / Math.sqrt(this.run.n))); }

  onScreen(x, y) {
    return [this.width / 2 + (x - this.view.x) * this.view.zoom, this.height / 2 - (y - this.view.y) * this.view.zoom];
  }

  // Where example i is on the screen at moment t.
  place(i, t) {
    const { positions, run: { n, snapshots } } = this;
    const from = Math.min(Math.floor(t), snapshots - 1);
    const [a, b] = [2 * (from * n + i), 2 * (Math.min(from + 1, snapshots - 1) * n + i)];
    const part = t - from;
    return this.onScreen(positions[a] + (positions[b] - positions[a]) * part, positions[a + 1] + (positions[b + 1] - positions[a + 1]) * part);
  }

  draw() {
    if (!this.positions || !this.width) return;
    const t = this.page.state.t;
    const few = this.matched.length < 0.1 * this.run.n ? 1.8 : 1; // what is looked for must be found
    this.points.draw(t, { ...this.view, zoom: this.view.zoom * this.ratio }, this.size * this.ratio * few, 0.75 / few);
    const { pen } = this;
    pen.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    pen.clearRect(0, 0, this.width, this.height);
    if (this.page.state.colour === "label" || this.page.state.colour === "answer") this.names(t);
    this.ruler();
    if (this.page.selected(this.run) >= 0) this.path(this.page.selected(this.run), t);
    if (this.hover >= 0) this.ring(this.place(this.hover, t), 7, 1.5);
  }

  // By label, the mean place of the points that match at a snapshot, and their number.
  means(snapshot) {
    if (!this.meansOf.has(snapshot)) {
      const { meta: { gold, labels }, n } = this.run;
      const sums = new Float64Array(3 * labels.length);
      for (const i of this.matched) {
        const at = 3 * gold[i];
        sums[at] += this.positions[2 * (snapshot * n + i)];
        sums[at + 1] += this.positions[2 * (snapshot * n + i) + 1];
        sums[at + 2] += 1;
      }
      this.meansOf.set(snapshot, sums);
    }
    return this.meansOf.get(snapshot);
  }

  // Names of labels at the mean place of their points, the commonest first, where there is room.
  names(t) {
    const from = Math.min(Math.floor(t), this.run.snapshots - 1);
    const [before, after] = [this.means(from), this.means(Math.min(from + 1, this.run.snapshots - 1))];
    const found = this.run.meta.labels.map((_, label) => [label, before[3 * label + 2]]).filter(([, count]) => count);
    const mean = (label, axis) => (before[3 * label + axis] + (after[3 * label + axis] - before[3 * label + axis]) * (t - from)) / before[3 * label + 2];
    const taken = [];
    this.pen.font = "600 13px system-ui, sans-serif";
    this.pen.textAlign = "center";
    this.pen.textBaseline = "middle";
    for (const [label] of found.sort((a, b) => b[1] - a[1]).slice(0, 24)) {
      const [x, y] = this.onScreen(mean(label, 0), mean(label, 1));
      const text = short(this.run.meta.labels[label], 22);
      const half = this.pen.measureText(text).width / 2 + 4;
      const middle = Math.min(Math.max(x, half), this.width - half);
      const free = [0, -21, 21].map((shift) => [middle - half, y + shift - 10, middle + half, y + shift + 10])
        .find((box) => !taken.some((one) => one[0] < box[2] && box[0] < one[2] && one[1] < box[3] && box[1] < one[3]));
      if (!free) continue;
      taken.push(free);
      this.write(text, middle, free[1] + 10);
    }
  }

  write(text, x, y) {
    this.pen.lineWidth = 4;
    this.pen.lineJoin = "round";
    this.pen.strokeStyle = colourOf("--page");
    this.pen.fillStyle = colourOf("--ink");
    this.pen.strokeText(text, x, y);
    this.pen.fillText(text, x, y);
  }

  // A ruler in the unit of the space.
  ruler() {
    const pixels = this.view.zoom / this.frame.unit;
    const length = roundNumber((this.width * 0.22) / pixels);
    const [x, y] = [14, this.height - 16];
    this.pen.strokeStyle = colourOf("--soft");
    this.pen.lineWidth = 1.5;
    this.pen.beginPath();
    this.pen.moveTo(x, y - 4); this.pen.lineTo(x, y); this.pen.lineTo(x + length * pixels, y); this.pen.lineTo(x + length * pixels, y - 4);
    this.pen.stroke();
    this.pen.font = "12px system-ui, sans-serif";
    this.pen.textAlign = "left";
    this.pen.textBaseline = "alphabetic";
    this.write(`distance ${Number(length.toPrecision(3))}`, x, y - 8);
  }

  path(i, t) {
    const { pen } = this;
    if (!this.inSplit(i)) return;
    pen.strokeStyle = colourOf("--ink");
    pen.lineWidth = 1.5;
    pen.beginPath();
    for (let s = 0; s < this.run.snapshots; s++) pen[s ? "lineTo" : "moveTo"](...this.place(i, s));
    pen.stroke();
    pen.fillStyle = colourOf("--ink");
    for (let s = 0; s < this.run.snapshots; s++) { pen.beginPath(); pen.arc(...this.place(i, s), 2, 0, 7); pen.fill(); }
    this.ring(this.place(i, t), 8, 2.5);
  }

  ring([x, y], radius, width) {
    for (const [colour, line] of [[colourOf("--page"), width + 3], [colourOf("--ink"), width]]) {
      this.pen.strokeStyle = colour;
      this.pen.lineWidth = line;
      this.pen.beginPath();
      this.pen.arc(x, y, radius, 0, 7);
      this.pen.stroke();
    }
  }

  // How far the picture is to be trusted, in one or two sentences.
  caption() {
    const { picture } = this.page.state;
    const { meta } = this.run;
    let lies = false;
    const parts = meta.splits.filter((_, split) => this.split < 0 || this.split === split).map(({ name }) => {
      const shown = meta.shown[this.layer][picture][name];
      const [variance] = shown.variance[this.page.snapshot];
      const [kept, , , chance, asked] = shown.neighbours[this.page.snapshot];
      if (variance === null) return `${name}: all vectors are equal`;
      lies ||= kept < 0.5;
      return `${name}: ${percent(variance)} of the variance, ${percent(kept)} of the ${meta.k} nearest neighbours kept (chance ${percent(chance)}; ${asked} examples asked)`;
    });
    const whole = meta.shares[this.layer].reduce((a, b) => a + b);
    if (picture === "joint") parts.push(`all snapshots: ${percent(whole)} of the variance`);
    this.parts.caption.textContent = `Shown here: ${parts.join("; ")}.`;
    this.parts.caption.classList.toggle("lies", lies);
    this.parts.points.setAttribute("aria-label",
      `Points of ${this.matched.length} examples, layer ${this.layer}. Arrow keys: snapshots; plus, minus, zero: size.`);
  }

  nearestTo(x, y) {
    const { view, positions, run: { n, snapshots } } = this;
    const t = this.page.state.t;
    const from = Math.min(Math.floor(t), snapshots - 1);
    const [a, b, part] = [2 * from * n, 2 * Math.min(from + 1, snapshots - 1) * n, t - from];
    const [px, py] = [view.x + (x - this.width / 2) / view.zoom, view.y - (y - this.height / 2) / view.zoom];
    let [best, least] = [-1, (REACH / view.zoom) ** 2];
    for (const i of this.matched || []) {
      const dx = positions[a + 2 * i] + (positions[b + 2 * i] - positions[a + 2 * i]) * part - px;
      const dy = positions[a + 2 * i + 1] + (positions[b + 2 * i + 1] - positions[a + 2 * i + 1]) * part - py;
      const square = dx * dx + dy * dy;
      if (square < least) [best, least] = [i, square];
    }
    return best;
  }

  zoom(factor, x = this.width / 2, y = this.height / 2) {
    const { view } = this;
    const [dx, dy] = [(x - this.width / 2) / view.zoom, (this.height / 2 - y) / view.zoom];
    Object.assign(view, { x: view.x + dx * (1 - 1 / factor), y: view.y + dy * (1 - 1 / factor), zoom: view.zoom * factor });
    this.page.moved();
  }

  listen() {
    const { stage, tip } = this.parts;
    const hands = new Map(); // pointers that are down
    let [far, pinch] = [0, 0];
    const at = (event) => { const box = stage.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
    const point = (i) => { if (i !== this.hover) { this.hover = i; this.page.tell(this, tip, i); this.draw(); } };
    stage.addEventListener("wheel", (event) => { event.preventDefault(); this.zoom(Math.exp(-event.deltaY / 400), ...at(event)); }, { passive: false });
    stage.addEventListener("pointerdown", (event) => { hands.set(event.pointerId, at(event)); [far, pinch] = [0, 0]; stage.setPointerCapture(event.pointerId); });
    stage.addEventListener("pointermove", (event) => {
      const now = at(event);
      const before = hands.get(event.pointerId);
      if (!before) { point(this.nearestTo(...now)); return; }
      hands.set(event.pointerId, now);
      const [dx, dy] = [now[0] - before[0], now[1] - before[1]];
      far += Math.abs(dx) + Math.abs(dy);
      if (hands.size === 2) {
        const [[ax, ay], [bx, by]] = [...hands.values()];
        const apart = Math.hypot(ax - bx, ay - by);
        if (pinch) this.zoom(apart / pinch, (ax + bx) / 2, (ay + by) / 2);
        pinch = apart;
      } else if (far > 3) {
        this.view.x -= dx / this.view.zoom; this.view.y += dy / this.view.zoom;
        this.page.moved();
      }
    });
    const up = (event) => {
      if (hands.delete(event.pointerId) && far <= 3 && event.type === "pointerup") this.page.select(this.run, this.nearestTo(...at(event)));
    };
    stage.addEventListener("pointerup", up);
    stage.addEventListener("pointercancel", up);
    stage.addEventListener("pointerleave", () => point(-1));
    this.parts.points.addEventListener("keydown", (event) => {
      const does = { "+": () => this.zoom(1.25), "-": () => this.zoom(0.8), 0: () => this.fit(0.004) }[event.key];
      if (does) { event.preventDefault(); does(); }
    });
  }
}
