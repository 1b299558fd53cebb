/** Providers, and what stands in front of the window until it is connected. */
import { Button, Code, MantineProvider, Title, Text } from "@mantine/core"
import { ModalsProvider } from "@mantine/modals"
import { Notifications } from "@mantine/notifications"
import { QueryClientProvider } from "@tanstack/react-query"
import { useEffect, useSyncExternalStore } from "react"
import { connection } from "../api/connection.ts"
import { queryClient } from "../api/queries.ts"
import { Frame } from "./frame.tsx"
import { cssVariables, theme } from "./theme.ts"

/** The page's policy lets in style sheets with this mark alone. */
const nonce = document.querySelector<HTMLMetaElement>("meta[name=style-nonce]")?.content ?? ""

export function App() {
  return (
    <MantineProvider
      theme={theme}
      cssVariablesResolver={cssVariables}
      defaultColorScheme="auto"
      getStyleNonce={() => nonce}
    >
      <QueryClientProvider client={queryClient}>
        <ModalsProvider>
          <Notifications position="bottom-right" limit={3} />
          <Gate />
        </ModalsProvider>
      </QueryClientProvider>
    </MantineProvider>
  )
}

function Gate() {
  const state = useSyncExternalStore(connection.subscribe, () => connection.state)
  useEffect(() => {
    if (state === "open") void queryClient.invalidateQueries()
  }, [state])
  if (state === "denied") return <Denied />
  return <Frame />
}

function Denied() {
  return (
    <main className="sw-gate">
      <Title order={1} size="h3">
        This window has no key
      </Title>
      <Text size="sm" maw={460}>
        Each link that <Code>sealwright serve</Code> prints opens one window. This one was used already, or
        the host was started anew. Open the newest link it printed.
      </Text>
      <Button onClick={() => location.reload()} variant="default">
        Try again
      </Button>
      <code className="sw-code">WINDOW_NOT_ADMITTED</code>
    </main>
  )
}
