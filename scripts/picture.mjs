// The picture of the way of data, docs/data-flow.svg, and the same in dark colours.

const palettes = {
  light: { ink: "#1f2328", soft: "#59636e", line: "#818b98", fill: "#f6f8fa", inner: "#ffffff", accent: "#0969da" },
  dark: { ink: "#f0f6fc", soft: "#b1bac4", line: "#8b949e", fill: "#161b22", inner: "#21262d", accent: "#58a6ff" }
}

const draw = ({ accent, fill, ink, inner, line, soft }) => {
  const text = (x, y, content, { anchor = "middle", color = ink, size = 14, weight = 400 } = {}) =>
    `<text x="${x}" y="${y}" text-anchor="${anchor}" font-size="${size}" font-weight="${weight}" fill="${color}">${content}</text>`
  const box = (x, y, width, height, title, ...notes) =>
    `<rect x="${x}" y="${y}" width="${width}" height="${height}" rx="6" fill="${fill}" stroke="${line}"/>` +
    text(x + width / 2, y + 25, title, { weight: 600 }) +
    notes.map((note, n) => text(x + width / 2, y + 44 + 16 * n, note, { size: 12, color: soft })).join("")
  const step = (x, y, width, title) =>
    `<rect x="${x}" y="${y}" width="${width}" height="30" rx="4" fill="${inner}" stroke="${line}"/>` +
    text(x + width / 2, y + 20, title, { size: 13 })
  const arrow = (d, { color = line, dash = "" } = {}) =>
    `<path d="${d}" fill="none" stroke="${color}" stroke-width="1.6"${
      dash === "" ? "" : ` stroke-dasharray="${dash}"`
    } marker-end="url(#${color === accent ? "accent" : "plain"})"/>`
  const marker = (id, color) =>
    `<marker id="${id}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto-start-reverse">` +
    `<path d="M0 1 9 5 0 9z" fill="${color}"/></marker>`

  return [
    "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 900 386\" width=\"900\" height=\"386\" role=\"img\" " +
    "aria-labelledby=\"title\" font-family=\"-apple-system,BlinkMacSystemFont,'Segoe UI','Noto Sans',Helvetica,Arial,sans-serif\">",
    "<title id=\"title\">A command is decided and committed in one transaction; the journal is then broadcast in order</title>",
    `<defs>${marker("plain", line)}${marker("accent", accent)}</defs>`,

    box(10, 40, 160, 62, "Your application", "createRelay(…)"),
    arrow("M170 71H212"),
    box(214, 40, 150, 62, "Command", "checks and queues"),
    arrow("M364 71H398"),

    `<rect x="400" y="14" width="490" height="106" rx="6" fill="${fill}" stroke="${line}"/>`,
    text(645, 38, "One transaction for all commands that wait", { weight: 600 }),
    step(414, 62, 92, "load state"),
    arrow("M506 77H524"),
    step(526, 62, 70, "decide"),
    arrow("M596 77H614"),
    step(616, 62, 124, "append events"),
    arrow("M740 77H758"),
    step(760, 62, 116, "update rows"),
    text(561, 110, "pure rules: event or refusal", { size: 12, color: soft }),

    arrow("M645 120V164", { color: accent }),
    text(655, 147, "COMMIT", { anchor: "start", size: 12, color: accent, weight: 600 }),

    `<rect x="400" y="166" width="490" height="80" rx="6" fill="${fill}" stroke="${line}"/>`,
    `<rect x="414" y="180" width="222" height="52" rx="4" fill="${inner}" stroke="${accent}"/>`,
    text(525, 202, "journal", { weight: 600 }),
    text(525, 220, "every event, append-only", { size: 12, color: soft }),
    arrow("M636 206H662", { dash: "4 3" }),
    `<rect x="664" y="180" width="212" height="52" rx="4" fill="${inner}" stroke="${line}"/>`,
    text(770, 202, "tenant, relay", { weight: 600 }),
    text(770, 220, "projections, can be rebuilt", { size: 12, color: soft }),
    text(390, 186, "SQLite, PostgreSQL", { anchor: "end", size: 12, color: soft }),
    text(390, 202, "or memory", { anchor: "end", size: 12, color: soft }),

    arrow("M525 246V308", { color: accent }),
    text(535, 282, "in commit order", { anchor: "start", size: 12, color: accent }),
    box(430, 310, 190, 62, "Tail", "broadcasts the activities"),
    arrow("M430 341H366", { color: accent }),
    box(204, 310, 160, 62, "ActivityPubSub", "live subscribers"),
    arrow("M204 341H172", { color: accent }),
    box(10, 310, 160, 62, "Your workers", "provision and bill"),
    arrow("M414 226H90V308", { dash: "4 3" }),
    text(100, 262, "Late or restarted readers read the journal first:", { anchor: "start", size: 12, color: soft }),
    text(100, 278, "feeds and durable consumers miss nothing", { anchor: "start", size: 12, color: soft }),

    arrow("M770 246V308"),
    box(680, 310, 180, 62, "Query", "reads the rows"),
    "</svg>"
  ].join("\n") + "\n"
}

/** The files of the picture, by their paths. */
export const pictures = () => [
  ["docs/data-flow.svg", draw(palettes.light)],
  ["docs/data-flow-dark.svg", draw(palettes.dark)]
]
