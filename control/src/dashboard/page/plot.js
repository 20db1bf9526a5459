// Lines that move over a canvas: the last two minutes, drawn at the rate of the screen.

const SPAN_S = 120;
/** What is newest is drawn a little late, so that a line grows evenly between two events. */
const LATE_S = 1.2;
const ROOM = { left: 52, right: 10, top: 8, bottom: 20 };

const calm = matchMedia("(prefers-reduced-motion: reduce)");
const plots = new Set();

/** Colours by the names of the style sheet, read again when the scheme changes. */
let colours = {};
function readColours() {
  const style = getComputedStyle(document.documentElement);
  const names = ["a", "b", "c", "d", "ink", "soft", "line", "card"];
  colours = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

/** The least of 1, 2, 5, 10, 20 ... above a value. */
function ceiling(value, step) {
  const power = step ** Math.floor(Math.log(value) / Math.log(step));
  const rounds = step === 2 ? [1, 2] : [1, 2, 5, 10];
  return rounds.map((round) => round * power).find((round) => round >= value * 0.999) ?? power * step;
}

class Surface {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    new ResizeObserver(() => this.fit()).observe(canvas);
  }

  fit() {
    const { clientWidth, clientHeight } = this.canvas;
    this.canvas.width = clientWidth * devicePixelRatio;
    this.canvas.height = clientHeight * devicePixelRatio;
  }

  begin() {
    const { canvas, context } = this;
    context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    context.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
    return { context, width: canvas.clientWidth, height: canvas.clientHeight };
  }
}

/** A figure with a caption, a legend and lines. `series` are `{name, colour}`. */
export class Plot {
  constructor(figure, title, series, format, { base = 10, floor = 1 } = {}) {
    Object.assign(this, { series, format, base, floor, points: [], top: floor });
    const caption = document.createElement("figcaption");
    const heading = Object.assign(document.createElement("h2"), { textContent: title });
    caption.append(heading);
    this.values = series.map(({ name, colour }) => {
      const legend = Object.assign(document.createElement("span"), { className: "legend" });
      legend.style.setProperty("--color", `var(--${colour})`);
      const value = document.createElement("b");
      legend.append(document.createElement("i"), `${name} `, value);
      caption.append(legend);
      return value;
    });
    const canvas = document.createElement("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${title}: the last two minutes`);
    figure.append(caption, canvas);
    this.surface = new Surface(canvas);
    canvas.addEventListener("pointermove", (event) => (this.pointer = event.offsetX));
    canvas.addEventListener("pointerleave", () => (this.pointer = undefined));
    plots.add(this);
  }

  /** Adds values of a moment, in seconds of the page's clock; null where there is none. */
  push(at, values) {
    this.points.push({ at, values });
    this.points = this.points.filter((point) => point.at > at - SPAN_S - 5);
    this.show(values);
  }

  /** A gap, where nothing is known for a while. */
  interrupt() {
    const { at } = this.points.at(-1) ?? {};
    if (at !== undefined) this.points.push({ at, values: this.series.map(() => null) });
  }

  show(values) {
    const text = (value) => (value === null ? "–" : this.format(value));
    this.values.forEach((element, nth) => (element.textContent = text(values[nth])));
  }

  draw(now) {
    const { context, width, height } = this.surface.begin();
    const box = { left: ROOM.left, top: ROOM.top, right: width - ROOM.right, bottom: height - ROOM.bottom };
    const all = this.points.flatMap((point) => point.values).filter((value) => value !== null);
    const wanted = ceiling(Math.max(this.floor, ...all) * 1.05, this.base);
    this.top += (wanted - this.top) * (calm.matches ? 1 : 0.15);
    const x = (at) => box.right - ((now - LATE_S - at) / SPAN_S) * (box.right - box.left);
    const y = (value) => box.bottom - (value / this.top) * (box.bottom - box.top);
    this.drawGrid(context, box, wanted, y);
    context.save();
    context.beginPath();
    context.rect(box.left, 0, box.right - box.left, height);
    context.clip();
    this.series.forEach(({ colour }, nth) => this.drawLine(context, box, colours[colour], nth, x, y));
    context.restore();
    if (this.pointer !== undefined) this.drawPointer(context, box, x, y);
  }

  drawGrid(context, box, wanted, y) {
    context.font = "11px system-ui, sans-serif";
    context.lineWidth = 1;
    context.textBaseline = "middle";
    for (const part of [0, 0.25, 0.5, 0.75, 1]) {
      const at = Math.round(y(wanted * part)) + 0.5;
      if (at < box.top - 4) continue;
      context.strokeStyle = colours.line;
      context.beginPath();
      context.moveTo(box.left, at);
      context.lineTo(box.right, at);
      context.stroke();
      context.fillStyle = colours.soft;
      context.textAlign = "right";
      if (part !== 0.25 && part !== 0.75) context.fillText(this.format(wanted * part), box.left - 8, at);
    }
    context.textBaseline = "alphabetic";
    const marks = [["2 min ago", "left", box.left], ["1 min", "center", (box.left + box.right) / 2], ["now", "right", box.right]];
    for (const [text, align, at] of marks) {
      context.textAlign = align;
      context.fillText(text, at, box.bottom + 15);
    }
  }

  drawLine(context, box, colour, nth, x, y) {
    for (const run of this.runs(nth)) {
      context.beginPath();
      run.forEach(({ at, value }, index) => context[index ? "lineTo" : "moveTo"](x(at), y(value)));
      context.strokeStyle = colour;
      context.lineWidth = 2;
      context.lineJoin = "round";
      context.stroke();
      context.lineTo(x(run.at(-1).at), box.bottom);
      context.lineTo(x(run[0].at), box.bottom);
      const fill = context.createLinearGradient(0, box.top, 0, box.bottom);
      fill.addColorStop(0, `${colour}33`);
      fill.addColorStop(1, `${colour}00`);
      context.fillStyle = fill;
      context.fill();
    }
  }

  /** The points of a line, parted where there are none. */
  runs(nth) {
    const runs = [[]];
    for (const { at, values } of this.points) {
      if (values[nth] === null) runs.push([]);
      else runs.at(-1).push({ at, value: values[nth] });
    }
    return runs.filter((run) => run.length > 1);
  }

  drawPointer(context, box, x, y) {
    const distance = (point) => Math.abs(x(point.at) - this.pointer);
    const known = this.points.filter((point) => point.values.some((value) => value !== null));
    if (known.length === 0) return;
    const nearest = known.reduce((a, b) => (distance(a) < distance(b) ? a : b));
    const at = Math.round(x(nearest.at)) + 0.5;
    if (at < box.left || at > box.right) return;
    context.strokeStyle = colours.soft;
    context.beginPath();
    context.moveTo(at, box.top);
    context.lineTo(at, box.bottom);
    context.stroke();
    const texts = nearest.values.map((value) => (value === null ? "–" : this.format(value)));
    context.font = "600 12px system-ui, sans-serif";
    const isRight = at > (box.left + box.right) / 2;
    context.textAlign = isRight ? "right" : "left";
    texts.forEach((text, nth) => {
      const value = nearest.values[nth];
      context.fillStyle = colours[this.series[nth].colour];
      if (value !== null) {
        context.beginPath();
        context.arc(at, y(value), 3.5, 0, 7);
        context.fill();
      }
      context.fillText(text, at + (isRight ? -8 : 8), box.top + 12 + nth * 16);
    });
  }
}

/** A strip with the share of its time that a core is busy, darker where it is more. */
export class Strip {
  constructor(canvas) {
    this.surface = new Surface(canvas);
    this.points = [];
    plots.add(this);
  }

  push(at, share) {
    this.points.push({ at, share });
    this.points = this.points.filter((point) => point.at > at - SPAN_S - 5);
  }

  draw(now) {
    const { context, width, height } = this.surface.begin();
    context.fillStyle = colours.line;
    context.globalAlpha = 0.45;
    context.fillRect(0, 0, width, height);
    const x = (at) => width - ((now - LATE_S - at) / SPAN_S) * width;
    context.fillStyle = colours.a;
    this.points.forEach(({ at, share }, nth) => {
      const from = nth ? this.points[nth - 1].at : at - 1;
      if (share === null || at - from > 3) return;
      const tall = Math.max(1, share * height);
      context.globalAlpha = 0.35 + 0.65 * share;
      context.fillRect(x(from), height - tall, x(at) - x(from) + 0.5, tall);
    });
    context.globalAlpha = 1;
  }

  remove() {
    plots.delete(this);
  }
}

function frame() {
  const now = performance.now() / 1000;
  plots.forEach((plot) => plot.draw(now));
  if (calm.matches) setTimeout(() => requestAnimationFrame(frame), 1000);
  else requestAnimationFrame(frame);
}

readColours();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", readColours);
requestAnimationFrame(frame);
