// One picture: a layer and a split, its points, what is written over them, and the hand that moves them.
const REACH = 12; // pixels in which a point is hit

class Pane {
  constructor(root, run, page) {
    Object.assign(this, { root, run, page, views: new Map(), hover: -1, layer: 0, split: -1 });
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
    if (before) this.page.views(this.run).forEach((view) => { view.zoom *= width / before; });
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
    const zoom = 0.9 * Math.min((this.width || 600) / Math.max(x1 - x0, 16), (this.height || 450) / Math.max(y1 - y0, 16));
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
    this.points.load({ colours, shapes, order: Uint32Array.from([...below, ...above]) });
    this.caption();
    this.draw();
  }

  get size() { return Math.max(3.2, Math.min(8, 240 / Math.sqrt(this.run.n))); }

  // Where example i is on the screen at moment t.
  place(i, t) {
    const { positions, view, run: { n } } = this;
    const from = Math.min(Math.floor(t), this.run.snapshots - 1);
    const to = Math.min(from + 1, this.run.snapshots - 1);
    const at = (axis) => {
      const before = positions[2 * (from * n + i) + axis];
      return before + (positions[2 * (to * n + i) + axis] - before) * (t - from);
    };
    return [this.width / 2 + (at(0) - view.x) * view.zoom, this.height / 2 - (at(1) - view.y) * view.zoom];
  }

  draw() {
    if (!this.positions || !this.width) return;
    const t = this.page.state.t;
    this.points.draw(t, { ...this.view, zoom: this.view.zoom * this.ratio }, this.size * this.ratio);
    const { pen } = this;
    pen.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    pen.clearRect(0, 0, this.width, this.height);
    if (this.page.state.colour === "label" || this.page.state.colour === "answer") this.names(t);
    this.ruler();
    if (this.page.selected(this.run) >= 0) this.path(this.page.selected(this.run), t);
    if (this.hover >= 0) this.ring(this.place(this.hover, t), 7, 1.5);
  }

  // Names of labels at the mean place of their points, the commonest first, where there is room.
  names(t) {
    const sums = new Map();
    for (const i of this.matched || []) {
      const [x, y] = this.place(i, t);
      const label = this.run.meta.gold[i];
      const sum = sums.get(label) || sums.set(label, [0, 0, 0]).get(label);
      sum[0] += x; sum[1] += y; sum[2] += 1;
    }
    const taken = [];
    this.pen.font = "600 13px system-ui, sans-serif";
    this.pen.textAlign = "center";
    this.pen.textBaseline = "middle";
    for (const [label, [x, y, count]] of [...sums].sort((a, b) => b[1][2] - a[1][2]).slice(0, 24)) {
      const text = short(this.run.meta.labels[label], 22);
      const half = this.pen.measureText(text).width / 2 + 4;
      const box = [x / count - half, y / count - 10, x / count + half, y / count + 10];
      if (taken.some((one) => one[0] < box[2] && box[0] < one[2] && one[1] < box[3] && box[1] < one[3])) continue;
      taken.push(box);
      this.write(text, x / count, y / count);
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
    const split = this.split < 0 ? 0 : this.split;
    const { name } = meta.splits[split];
    const shown = meta.shown[this.layer][picture][name];
    const [variance] = shown.variance[this.page.snapshot];
    const [kept, , , chance, asked] = shown.neighbours[this.page.snapshot];
    const whole = meta.shares[this.layer].reduce((a, b) => a + b);
    const parts = [`${meta.splits.length > 1 ? `${name}: ` : ""}${variance === null ? "all vectors are equal" : `${percent(variance)} of the variance of this snapshot shown`}`];
    if (picture === "joint") parts.push(`${percent(whole)} of all snapshots together`);
    if (kept !== null) parts.push(`${percent(kept)} of the ${meta.k} nearest neighbours kept (chance ${percent(chance)}; ${asked} examples asked)`);
    this.parts.caption.textContent = `${parts.join("; ")}.`;
    this.parts.caption.classList.toggle("lies", kept !== null && kept < 0.5);
    this.parts.points.setAttribute("aria-label",
      `Points of ${this.matched.length} examples, layer ${this.layer}. Arrow keys: snapshots; plus, minus, zero: size.`);
  }

  nearestTo(x, y) {
    let [best, least] = [-1, REACH * REACH];
    const candidates = this.matched || [];
    for (let k = candidates.length - 1; k >= 0; k--) {
      const [px, py] = this.place(candidates[k], this.page.state.t);
      const square = (px - x) ** 2 + (py - y) ** 2;
      if (square < least) [best, least] = [candidates[k], square];
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
