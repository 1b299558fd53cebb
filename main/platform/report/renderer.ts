import type { ReportRenderer } from "../../services/ports.ts"
import { tracePage } from "./trace-page.ts"
import { validationPage } from "./validation-page.ts"

export const reportRenderer: ReportRenderer = {
  validation: async (validation) => validationPage(validation),
  trace: async (result, scores) => tracePage(result, scores),
}
