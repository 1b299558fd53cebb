import type { ReportRenderer } from "../../services/ports.ts"
import { validationPage } from "./validation-page.ts"

export const reportRenderer: ReportRenderer = {
  validation: async (validation) => validationPage(validation),
}
