const SIDE = 384;
const COLOURS = ["#ffffff", "#E69F00", "#56B4E9", "#CC79A7"];

function make(tag, props, parent) {
  const node = Object.assign(document.createElement(tag), props);
  parent.append(node);
  return node;
}

function render({ model, el }) {
  const root = make("div", { className: "sorakit-boxes" }, el);
  root.dataset.lmSuppressShortcuts = "true";
  const width = model.get("width"), height = model.get("height"), labels = model.get("labels");
  const scale = Math.max(1, Math.floor(SIDE / Math.max(width, height)));
  const canvas = make("canvas", { width: width * scale, height: height * scale, tabIndex: 0 }, root);
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-roledescription", "box drawing");
  const pen = canvas.getContext("2d");
  const row = make("div", { className: "sorakit-boxes-row" }, root);
  const chooser = labels.map((label, i) => {
    const button = make("button", { type: "button", textContent: label }, row);
    button.addEventListener("click", () => { set("active", i); canvas.focus(); });
    return button;
  });
  const go = make("button", { type: "button", textContent: model.get("action") }, row);
  go.addEventListener("click", confirm);
  const status = make("p", { className: "sorakit-boxes-says" }, root);
  status.setAttribute("role", "status");
  const picture = new Image();
  picture.addEventListener("load", paint);
  picture.src = model.get("frame");
  let from = null;

  const boxes = () => model.get("boxes").map((b) => [...b]);
  const active = () => model.get("active");
  const full = () => boxes().every((b) => b.length === 4);
  const within = (v, low, high) => Math.min(Math.max(v, low), high);

  function set(name, value) {
    model.set(name, value);
    model.save_changes();
  }

  function put(box, next = false) {
    const all = boxes();
    all[active()] = box;
    model.set("boxes", all);
    if (next) model.set("active", (active() + 1) % labels.length);
    model.save_changes();
  }

  function confirm() {
    if (full()) set("confirmed", model.get("confirmed") + 1);
    else set("active", boxes().findIndex((b) => b.length !== 4));
  }

  function place(event) {
    const r = canvas.getBoundingClientRect();
    return [
      within(Math.round(((event.clientX - r.left) / r.width) * width), 0, width),
      within(Math.round(((event.clientY - r.top) / r.height) * height), 0, height),
    ];
  }

  function spanned(a, b) {
    const box = [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[0], b[0]), Math.max(a[1], b[1])];
    return box[2] - box[0] >= 2 && box[3] - box[1] >= 2 ? box : null;
  }

  canvas.addEventListener("pointerdown", (event) => {
    from = place(event);
    canvas.setPointerCapture(event.pointerId);
    canvas.focus();
    event.preventDefault();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (from === null) return;
    paint();
    const box = spanned(from, place(event));
    if (box) outline(box, active(), true);
  });
  canvas.addEventListener("pointerup", (event) => {
    const box = from && spanned(from, place(event));
    from = null;
    if (box) put(box, true);
    else paint();
  });
  canvas.addEventListener("pointercancel", () => { from = null; paint(); });

  canvas.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (way) {
      const had = boxes()[active()];
      const third = Math.round(Math.min(width, height) / 3);
      const box = had.length === 4 ? had : [third, third, 2 * third, 2 * third];
      if (event.shiftKey) {
        box[2] = within(box[2] + way[0], box[0] + 2, width);
        box[3] = within(box[3] + way[1], box[1] + 2, height);
      } else {
        const dx = within(way[0], -box[0], width - box[2]), dy = within(way[1], -box[1], height - box[3]);
        box[0] += dx; box[2] += dx; box[1] += dy; box[3] += dy;
      }
      put(box);
    } else if (event.key === "Enter") {
      if (active() < labels.length - 1 && boxes()[active()].length === 4) set("active", active() + 1);
      else confirm();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });

  function outline(box, i, thick) {
    const [x, y, w, h] = [box[0], box[1], box[2] - box[0], box[3] - box[1]].map((v) => v * scale);
    pen.setLineDash(i % 2 ? [10, 6] : []);
    for (const [colour, wide] of [["#000000", thick ? 6 : 4], [COLOURS[i % COLOURS.length], thick ? 3 : 2]]) {
      pen.strokeStyle = colour;
      pen.lineWidth = wide;
      pen.strokeRect(x, y, w, h);
    }
    pen.setLineDash([]);
    pen.font = "600 14px sans-serif";
    pen.lineWidth = 4;
    pen.strokeStyle = "#000000";
    const at = [x + 4, y > 20 ? y - 6 : y + h + 16];
    pen.strokeText(labels[i], ...at);
    pen.fillStyle = COLOURS[i % COLOURS.length];
    pen.fillText(labels[i], ...at);
  }

  function paint() {
    pen.imageSmoothingEnabled = false;
    pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
    boxes().forEach((b, i) => { if (b.length === 4) outline(b, i, i === active()); });
    chooser.forEach((button, i) => button.setAttribute("aria-pressed", String(i === active())));
    go.disabled = !full();
    const said = labels.map((label, i) => {
      const b = boxes()[i];
      return b.length === 4 ? `${label}: ${b[0]}, ${b[1]} to ${b[2]}, ${b[3]}` : `${label}: none yet`;
    });
    status.textContent = `${said.join("; ")}. Drawing “${labels[active()]}”.`;
    canvas.setAttribute("aria-label",
      `Frame of ${width} by ${height} pixels. Drag to draw the box “${labels[active()]}”. ` +
      "Arrow keys move it, Shift with arrow keys resizes it, Enter confirms. " + said.join("; "));
  }

  model.on("change:boxes change:active", paint);
  model.on("change:frame", () => { picture.src = model.get("frame"); });
  paint();
  return () => model.off("change:boxes change:active", paint);
}

export default { render };
