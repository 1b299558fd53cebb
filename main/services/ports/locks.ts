/**
 * What is one at a time, among all processes that use a workspace: `desk` is the trust root with its releases and words,
 * anything else the deployment of one device.
 */
export interface WorkspaceLocks {
  /**
   * Runs `work` while nobody else holds the lock; a process that dies lets go of it. Aborting `signal` ends the wait. Throws
   * WORKSPACE_BUSY when somebody holds it for too long. Not to be asked for inside `work` again.
   */
  exclusive<T>(area: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T>
}
