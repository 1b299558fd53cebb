/** The frame of every report: one HTML file with everything inside, light and dark, readable without scripts. */

/** Text made safe for HTML. Names in reports come from files of strangers. */
function escapeHtml(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
}

export interface Figure {
  readonly label: string
  readonly value: string
  readonly note: string
  readonly state: "good" | "attention" | "plain"
}

/** `body`: HTML whose variable parts are escaped. */
export function page(title: string, subtitle: string, figures: readonly Figure[], body: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<header><h1>${escapeHtml(title)}</h1><p>${escapeHtml(subtitle)}</p></header>
<section class="figures">${figures.map(figureCard).join("")}</section>
${body}
</main>
</body>
</html>
`
}

/** A section with a heading, a sentence that says what to see, and content. */
export function section(heading: string, sentence: string, content: string): string {
  return `<section><h2>${escapeHtml(heading)}</h2><p>${escapeHtml(sentence)}</p>${content}</section>`
}

/** Rows of a name and a value. */
export function facts(rows: readonly (readonly [name: string, value: string])[]): string {
  const body = rows.map(
    ([name, value]) => `<tr><th scope="row">${escapeHtml(name)}</th><td>${escapeHtml(value)}</td></tr>`,
  )
  return `<table>${body.join("")}</table>`
}

/** A plot with the words a screen reader says instead of it. */
export function plotFigure(svg: string, description: string): string {
  return `<figure class="plot" role="img" aria-label="${escapeHtml(description)}">${svg}</figure>`
}

function figureCard({ label, value, note, state }: Figure): string {
  const mark = state === "good" ? "✓ " : state === "attention" ? "! " : ""
  return `<div class="card ${state}"><div class="label">${escapeHtml(label)}</div><div class="value">${mark}${escapeHtml(value)}</div><div class="note">${escapeHtml(note)}</div></div>`
}

const STYLE = `
:root { color-scheme: light dark; --ink: #1a1d21; --soft: #5b6470; --line: #d9dee4; --paper: #ffffff; --card: #f6f8fa; --good: #1a7f37; --attention: #9a6700; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --soft: #9aa4b0; --line: #343b44; --paper: #14171b; --card: #1c2127; --good: #4ac26b; --attention: #d4a72c; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 14px/1.5 system-ui, sans-serif; }
main { max-width: 960px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 22px; margin: 0; } h2 { font-size: 16px; margin: 32px 0 4px; }
header p, section > p { margin: 4px 0 12px; color: var(--soft); }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(200px, 1fr)); gap: 12px; margin-top: 20px; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 12px 16px; }
.label, .note { color: var(--soft); font-size: 12px; } .value { font-size: 22px; font-weight: 600; font-variant-numeric: tabular-nums; }
.good .value { color: var(--good); } .attention .value { color: var(--attention); }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; padding: 4px 12px 4px 0; border-bottom: 1px solid var(--line); vertical-align: top; font-weight: normal; }
th { color: var(--soft); width: 220px; } td { overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.plot { margin: 0; } .plot svg { max-width: 100%; height: auto; color: var(--ink); background: none; --plot-background: var(--paper); } .plot figure { margin: 0; }
`
