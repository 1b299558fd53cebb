/** Names of the messages between preload and shell. Nothing else is listened to. */
export const CHANNELS = {
  port: "sealwright:port",
  refer: "sealwright:refer",
  opened: "sealwright:opened",
  progress: "sealwright:progress",
  notify: "sealwright:notify",
} as const
