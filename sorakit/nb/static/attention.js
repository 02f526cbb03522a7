// Draws AttentionMap: the frames as a strip, the chosen patch's attention as light over all of them.
// In: traits dim and clear (pictures of the strip), shape, shares (uint16), state [layer, head, t, y, x].
const GAP = 8;
const CELL = 22;
const LIGHT = "230, 159, 0";

function choice(label, names, first) {
  const list = document.createElement("select");
  names.forEach((name, i) => list.add(new Option(name, i + first)));
  const around = document.createElement("label");
  around.append(label + " ", list);
  return [around, list];
}

function picture(uri) {
  const image = new Image();
  image.src = uri;
  return image;
}

export default {
  async render({ model, el }) {
    const [layers, heads, T, H, W, K] = model.get("shape");
    const N = T * H * W;
    const bytes = model.get("shares");
    const shares = new Uint16Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
    const dim = picture(model.get("dim"));
    const clear = picture(model.get("clear"));
    await Promise.all([dim.decode(), clear.decode()]);
    const w = dim.width / T;
    const h = dim.height;

    const [blockLabel, block] = choice("Block", Array.from({ length: layers }, (_, i) => i), 0);
    const [headLabel, head] = choice("Head", ["mean of all", ...Array.from({ length: heads }, (_, i) => i)], -1);
    const row = document.createElement("div");
    row.className = "sorakit-attention-row";
    row.append(blockLabel, headLabel);
    const canvas = document.createElement("canvas");
    canvas.width = T * w + (T - 1) * GAP;
    canvas.height = K > N ? h + GAP + CELL : h;
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-label", "Frames in time order, below them the words. Arrow keys move the chosen patch, Page Up and Page Down change the frame.");
    const says = document.createElement("p");
    says.setAttribute("role", "status");
    el.classList.add("sorakit-attention");
    el.append(row, canvas, says);
    const pen = canvas.getContext("2d");

    function attention([layer, one, t, y, x]) {
      const sum = new Float64Array(K);
      const which = one < 0 ? [...Array(heads).keys()] : [one];
      for (const k of which) {
        const at = (((layer * heads + k) * T + t) * H + y) * W + x;
        for (let i = 0; i < K; i++) sum[i] += shares[at * K + i] / 65535 / which.length;
      }
      return [sum.subarray(0, K - N), sum.subarray(K - N)];
    }

    function draw() {
      const state = model.get("state");
      const [layer, one, t, y, x] = state;
      const [words, light] = attention(state);
      const most = Math.max(...light, ...words, 1e-9);
      const paint = (share, ...box) => {
        pen.fillStyle = `rgba(${LIGHT}, ${0.85 * (share / most) ** 0.7})`;
        pen.fillRect(...box);
      };
      pen.clearRect(0, 0, canvas.width, canvas.height);
      for (let k = 0; k < T; k++) {
        pen.drawImage(dim, k * w, 0, w, h, k * (w + GAP), 0, w, h);
      }
      const cw = w / W;
      const ch = h / H;
      light.forEach((share, i) => {
        const k = Math.floor(i / (H * W));
        paint(share, k * (w + GAP) + (i % W) * cw, (Math.floor(i / W) % H) * ch, cw, ch);
      });
      words.forEach((share, i) => {
        const box = [i * (CELL + 4), h + GAP, CELL, CELL];
        pen.fillStyle = "rgb(40, 40, 40)";
        pen.fillRect(...box);
        paint(share, ...box);
      });
      const left = t * (w + GAP) + x * cw;
      pen.drawImage(clear, t * w + x * cw, y * ch, cw, ch, left, y * ch, cw, ch);
      for (const [width, colour] of [[4, "#000"], [2, "#fff"]]) {
        pen.lineWidth = width;
        pen.strokeStyle = colour;
        pen.strokeRect(left + 2, y * ch + 2, cw - 4, ch - 4);
      }
      block.value = layer;
      head.value = one;
      says.textContent = describe(state, words, light);
    }

    function describe([layer, one, t, y, x], words, light) {
      const order = [...light.keys()].sort((a, b) => light[b] - light[a]).slice(0, 3);
      const percent = (v) => `${Math.round(100 * v)} %`;
      const named = order.map((i) => `(${Math.floor(i / (H * W))}, ${Math.floor(i / W) % H}, ${i % W}) ${percent(light[i])}`);
      const total = (part) => part.reduce((a, b) => a + b, 0);
      const own = total(light.subarray(t * H * W, (t + 1) * H * W));
      const text = words.length ? `; ${percent(total(words))} on the words` : "";
      const who = one < 0 ? "all heads" : `head ${one}`;
      return `block ${layer}, ${who}: patch (${t}, ${y}, ${x}) looks most at ${named.join(", ")}; ${percent(own)} in its own frame${text}`;
    }

    function set(change) {
      const old = model.get("state");
      const state = old.map((v, i) => (i in change ? change[i] : v));
      if (state.every((v, i) => v === old[i])) return;
      model.set("state", state);
      model.save_changes();
    }

    function point(event) {
      const box = canvas.getBoundingClientRect();
      const px = ((event.clientX - box.left) * canvas.width) / box.width;
      const py = ((event.clientY - box.top) * canvas.height) / box.height;
      const t = Math.min(T - 1, Math.max(0, Math.floor(px / (w + GAP))));
      const x = Math.min(W - 1, Math.max(0, Math.floor((px - t * (w + GAP)) / (w / W))));
      const y = Math.min(H - 1, Math.max(0, Math.floor(py / (h / H))));
      set({ 2: t, 3: y, 4: x });
    }

    function press(event) {
      let [, , t, y, x] = model.get("state");
      const moves = { ArrowLeft: [0, 0, -1], ArrowRight: [0, 0, 1], ArrowUp: [0, -1, 0], ArrowDown: [0, 1, 0], PageUp: [-1, 0, 0], PageDown: [1, 0, 0] };
      const move = moves[event.key];
      if (!move) return;
      event.preventDefault();
      event.stopPropagation();
      let column = t * W + x + move[2];
      if (column < 0 || column >= T * W) column = t * W + x;
      t = Math.min(T - 1, Math.max(0, Math.floor(column / W) + move[0]));
      set({ 2: t, 3: Math.min(H - 1, Math.max(0, y + move[1])), 4: column % W });
    }

    block.addEventListener("change", () => set({ 0: Number(block.value) }));
    head.addEventListener("change", () => set({ 1: Number(head.value) }));
    canvas.addEventListener("pointermove", point);
    canvas.addEventListener("pointerdown", point);
    canvas.addEventListener("keydown", press);
    model.on("change:state", draw);
    draw();
    return () => model.off("change:state", draw);
  },
};
