import type { DesktopBridge } from "../../main/contract/desktop.ts"

declare global {
  interface Window {
    readonly sealwright?: DesktopBridge
  }
}

/** The desktop shell around this window; null in a browser. */
export const desktop: DesktopBridge | null = window.sealwright ?? null
