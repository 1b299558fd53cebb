/** Plots as SVG text, drawn by Observable Plot on a document that exists only in memory. */
import * as Plot from "@observablehq/plot"
import { parseHTML } from "linkedom"

/** Plain and sealed have the same two colours everywhere; both keep contrast on light and dark. */
export const SERIES = { domain: ["plain", "sealed"], range: ["#4269d0", "#e8710a"] }

const WIDTH = 880

/** Renders a plot; everything but the document and the width is the caller's. */
export function plot(options: Plot.PlotOptions): string {
  const { document } = parseHTML("<!doctype html><html><body></body></html>")
  const drawn = Plot.plot({ width: WIDTH, marginLeft: 80, ...options, document })
  return drawn.outerHTML
}
