// Boards to step through: each .viewer holds its game as JSON, with every position written out.

const CELL = 20;
const STONE = 8.5;
const WOOD = { points: "#e3b566", drop: "#2457a6", hex: "#e9e2d0", cells: "#3b7a57" };
const COLOURS = { 1: "#16181c", 2: "#f7f7f2" };
const DROP_COLOURS = { 1: "#f2c230", 2: "#d33a2c" };

function square(game, x, y, row, col) {
  if (game.geometry !== "points") {
    const half = CELL / 2;
    return `<rect x="${x - half}" y="${y - half}" width="${CELL}" height="${CELL}" fill="none" stroke="#0004"/>`;
  }
  const left = col ? x - CELL / 2 : x;
  const right = col < game.cols - 1 ? x + CELL / 2 : x;
  const top = row ? y - CELL / 2 : y;
  const bottom = row < game.rows - 1 ? y + CELL / 2 : y;
  return `<path d="M${left} ${y}H${right}M${x} ${top}V${bottom}" stroke="#6b4e1e"/>`;
}

function stone(game, frame, point, x, y) {
  const colours = game.geometry === "drop" ? DROP_COLOURS : COLOURS;
  const colour = colours[frame.stones[point]] || (game.geometry === "drop" ? "#eef2f7" : null);
  const disc = colour ? `<circle cx="${x}" cy="${y}" r="${STONE}" fill="${colour}" stroke="#0008"/>` : "";
  return disc + (point === frame.last ? `<circle cx="${x}" cy="${y}" r="3" fill="#e11d48"/>` : "");
}

function draw(svg, game, frame) {
  const slant = game.geometry === "hex" ? CELL / 2 : 0;
  const width = game.cols * CELL + (game.rows - 1) * slant + CELL;
  const height = game.rows * CELL + CELL;
  const lines = [];
  const stones = [];
  for (let row = 0; row < game.rows; row++) {
    for (let col = 0; col < game.cols; col++) {
      const x = CELL + col * CELL + row * slant;
      const y = CELL + row * CELL;
      lines.push(square(game, x, y, row, col));
      stones.push(stone(game, frame, row * game.cols + col, x, y));
    }
  }
  const wood = `<rect width="${width}" height="${height}" rx="5" fill="${WOOD[game.geometry] || WOOD.cells}"/>`;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.innerHTML = wood + lines.join("") + stones.join("");
}

for (const root of document.querySelectorAll(".viewer")) {
  const game = JSON.parse(root.querySelector("script").textContent);
  let at = game.start;
  const show = (n) => {
    at = Math.max(0, Math.min(game.frames.length - 1, n));
    draw(root.querySelector("svg"), game, game.frames[at]);
    root.querySelector(".note").textContent = game.frames[at].note;
  };
  const verbs = { first: () => show(0), back: () => show(at - 1), next: () => show(at + 1), last: () => show(Infinity) };
  for (const [name, verb] of Object.entries(verbs)) root.querySelector(`.${name}`).onclick = verb;
  root.tabIndex = 0;
  root.onkeydown = (event) => {
    const verb = { ArrowLeft: verbs.back, ArrowRight: verbs.next }[event.key];
    if (!verb) return;
    event.preventDefault();
    verb();
  };
  show(at);
}
