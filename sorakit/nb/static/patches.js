// Draws PatchPicker: one frame for each step of the patch grid in time, the grid's lines, and the chosen patch.
// In: traits strip (the frames side by side, one pixel a pixel), grid [t, y, x], place [t, y, x] and says (HTML,
// which the kernel writes when place changes).
const GAP = 10;
const TALL = 176;
const MOVES = {
  ArrowLeft: [0, 0, -1],
  ArrowRight: [0, 0, 1],
  ArrowUp: [0, -1, 0],
  ArrowDown: [0, 1, 0],
  PageUp: [-1, 0, 0],
  PageDown: [1, 0, 0],
};

export default {
  async render({ model, el }) {
    const grid = model.get("grid");
    const [steps, rows, columns] = grid;
    const strip = new Image();
    strip.src = model.get("strip");
    await strip.decode();
    const zoom = Math.max(1, Math.round(TALL / strip.height));
    const wide = (strip.width / steps) * zoom;
    const tall = strip.height * zoom;
    const canvas = document.createElement("canvas");
    canvas.width = steps * (wide + GAP) - GAP;
    canvas.height = tall;
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "application");
    canvas.setAttribute(
      "aria-label",
      "Frames in time order, cut into patches. Arrow keys choose a patch, Page Up and Page Down go through time.",
    );
    const says = document.createElement("div");
    says.setAttribute("role", "status");
    el.classList.add("sorakit-patches");
    el.append(canvas, says);
    const pen = canvas.getContext("2d");
    pen.imageSmoothingEnabled = false;

    function draw() {
      const [t, y, x] = model.get("place");
      pen.clearRect(0, 0, canvas.width, canvas.height);
      for (let k = 0; k < steps; k++) {
        const left = k * (wide + GAP);
        pen.drawImage(strip, (k * wide) / zoom, 0, wide / zoom, tall / zoom, left, 0, wide, tall);
        pen.lineWidth = 1;
        pen.strokeStyle = "rgba(255, 255, 255, 0.45)";
        pen.beginPath();
        for (let i = 1; i < columns; i++) {
          pen.moveTo(left + (i * wide) / columns, 0);
          pen.lineTo(left + (i * wide) / columns, tall);
        }
        for (let i = 1; i < rows; i++) {
          pen.moveTo(left, (i * tall) / rows);
          pen.lineTo(left + wide, (i * tall) / rows);
        }
        pen.stroke();
      }
      const box = [t * (wide + GAP) + (x * wide) / columns, (y * tall) / rows, wide / columns, tall / rows];
      for (const [width, colour] of [[6, "#000"], [3, "#fff"]]) {
        pen.lineWidth = width;
        pen.strokeStyle = colour;
        pen.strokeRect(box[0] + 3, box[1] + 3, box[2] - 6, box[3] - 6);
      }
    }

    function go(place) {
      const kept = place.map((v, i) => Math.min(grid[i] - 1, Math.max(0, v)));
      if (kept.every((v, i) => v === model.get("place")[i])) return;
      model.set("place", kept);
      model.save_changes();
    }

    canvas.addEventListener("pointerdown", (event) => {
      const seen = canvas.getBoundingClientRect();
      const px = ((event.clientX - seen.left) * canvas.width) / seen.width;
      const py = ((event.clientY - seen.top) * canvas.height) / seen.height;
      const t = Math.min(steps - 1, Math.floor(px / (wide + GAP)));
      go([t, Math.floor((py * rows) / tall), Math.floor(((px - t * (wide + GAP)) * columns) / wide)]);
    });
    canvas.addEventListener("keydown", (event) => {
      const move = MOVES[event.key];
      if (!move) return;
      event.preventDefault();
      event.stopPropagation();
      const [t, y, x] = model.get("place");
      const column = t * columns + x + move[2]; // over a frame's edge into the next frame
      if (column < 0 || column >= steps * columns) return;
      go([Math.floor(column / columns) + move[0], y + move[1], column % columns]);
    });
    const write = () => {
      says.innerHTML = model.get("says");
    };
    model.on("change:place", draw);
    model.on("change:says", write);
    draw();
    write();
    return () => {
      model.off("change:place", draw);
      model.off("change:says", write);
    };
  },
};
