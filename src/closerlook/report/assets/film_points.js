// Draws many points between two snapshots with WebGL 2. An own shader, because the libraries that were measured either
// move 16,854 points at a fifth of the speed (plotly, deck.gl) or need 'unsafe-eval' and cannot stop between snapshots
// (regl-scatterplot): all the work of a frame is one uniform and one draw call here.
const VERTEX = `#version 300 es
in vec2 before, after; in vec4 colour; in float shape;
uniform vec2 middle, scale; uniform float part, size, faint;
out vec4 paint; out float form;
void main() {
  gl_Position = vec4((mix(before, after, part) - middle) * scale, 0.0, 1.0);
  gl_PointSize = colour.a < 0.5 ? size * faint : size;
  paint = colour; form = shape;
}`;
const FRAGMENT = `#version 300 es
precision mediump float;
in vec4 paint; in float form; uniform highp float size; out vec4 result;
void main() {
  vec2 at = gl_PointCoord * 2.0 - 1.0;
  float edge = form < 0.5 ? length(at) : form < 1.5 ? max(abs(at.x), abs(at.y)) * 1.15
             : max(abs(at.x) * 1.73 - at.y, at.y * 2.0) * 0.5 + 0.35;
  float cover = clamp((1.0 - edge) * size * 0.5 + 0.5, 0.0, 1.0) * paint.a;
  if (cover < 0.01) discard;
  result = vec4(paint.rgb * cover, cover);
}`;

class Points {
  constructor(canvas) {
    this.canvas = canvas;
    this.gl = canvas.getContext("webgl2", { antialias: false, premultipliedAlpha: true });
    this.broken = !this.gl;
    canvas.addEventListener("webglcontextlost", (event) => { event.preventDefault(); this.broken = true; });
    canvas.addEventListener("webglcontextrestored", () => { this.start(); this.upload(); });
    if (this.gl) this.start();
  }

  start() {
    const gl = this.gl;
    const program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    gl.useProgram(program);
    this.at = Object.fromEntries(["before", "after", "colour", "shape"].map((n) => [n, gl.getAttribLocation(program, n)]));
    this.set = Object.fromEntries(["middle", "scale", "part", "size", "faint"].map((n) => [n, gl.getUniformLocation(program, n)]));
    this.buffers = Object.fromEntries(["positions", "colours", "shapes", "order"].map((n) => [n, gl.createBuffer()]));
    Object.values(this.at).forEach((location) => gl.enableVertexAttribArray(location));
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    this.broken = false;
  }

  // positions: Int16Array (snapshots x n x 2); colours: Uint8Array (n x 4); shapes: Uint8Array (n); order: Uint32Array,
  // which points are drawn, the last on top.
  load(given) {
    Object.assign(this, given);
    if (!this.broken) this.upload(Object.keys(given));
  }

  upload(names = ["positions", "colours", "shapes", "order"]) {
    const gl = this.gl;
    for (const name of names) {
      const kind = name === "order" ? gl.ELEMENT_ARRAY_BUFFER : gl.ARRAY_BUFFER;
      gl.bindBuffer(kind, this.buffers[name]);
      if (this[name]) gl.bufferData(kind, this[name], name === "positions" ? gl.STATIC_DRAW : gl.DYNAMIC_DRAW);
    }
  }

  // t: the moment, in snapshots; view: { x, y, zoom } = middle in whole numbers, and pixels a whole number; size in
  // pixels, and by what factor those that do not match are smaller.
  draw(t, view, size, faint) {
    const { gl, canvas } = this;
    if (this.broken || !this.positions || !this.order) return;
    const n = this.shapes.length;
    const last = this.positions.length / (2 * n) - 1;
    const from = Math.min(Math.floor(t), last);
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    const attribute = (name, buffer, count, kind, normalised, offset) => {
      gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[buffer]);
      gl.vertexAttribPointer(this.at[name], count, kind, normalised, 0, offset);
    };
    attribute("before", "positions", 2, gl.SHORT, false, from * n * 4);
    attribute("after", "positions", 2, gl.SHORT, false, Math.min(from + 1, last) * n * 4);
    attribute("colour", "colours", 4, gl.UNSIGNED_BYTE, true, 0);
    attribute("shape", "shapes", 1, gl.UNSIGNED_BYTE, false, 0);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.buffers.order);
    gl.uniform2f(this.set.middle, view.x, view.y);
    gl.uniform2f(this.set.scale, (2 * view.zoom) / canvas.width, (2 * view.zoom) / canvas.height);
    gl.uniform1f(this.set.part, t - from);
    gl.uniform1f(this.set.size, size);
    gl.uniform1f(this.set.faint, faint);
    gl.drawElements(gl.POINTS, this.order.length, gl.UNSIGNED_INT, 0);
  }
}
