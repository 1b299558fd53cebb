/** What the desktop shell's preload offers; absent in a browser. */
export interface DesktopBridge {
  /** Asks the shell for a port that speaks the window contract; it arrives as a message to this window. */
  requestPort(): void
  /** A reference for a file the user dropped or chose. Its path stays in the shell. */
  refer(file: File): Promise<string>
  /** Reports how far the longest job is, 0 to 1, for the taskbar; null when nothing runs. */
  showProgress(share: number | null): void
  /** Tells the user that a job ended while the window was out of sight. */
  notify(title: string, body: string): void
}

declare global {
  interface Window {
    readonly sealwright?: DesktopBridge
  }
}

export const desktop: DesktopBridge | null = window.sealwright ?? null
