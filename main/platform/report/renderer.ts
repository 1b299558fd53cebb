import type { ReportRenderer } from "../../services/ports.ts"

/** The plotting library is large, so it is loaded when there is something to plot. */
export const reportRenderer: ReportRenderer = {
  validation: async (validation) => {
    const { validationPage } = await import("./validation-page.ts")
    return validationPage(validation)
  },
}
