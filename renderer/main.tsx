/** Starts the window. The token leaves the address before anything is drawn. */
import "@mantine/core/styles.css"
import "@mantine/notifications/styles.css"
import "@mantine/spotlight/styles.css"
import "./app/style.css"
import { StrictMode } from "react"
import { createRoot } from "react-dom/client"
import { connection } from "./api/connection.ts"
import { desktop } from "./api/desktop.ts"
import { takeOpened } from "./api/intake.ts"
import { currentRoute } from "./api/router.ts"
import { App } from "./app/app.tsx"

desktop?.onOpened((files) => void takeOpened(files, currentRoute()))
connection.open()
const root = document.querySelector("#root")
if (root !== null)
  createRoot(root).render(
    <StrictMode>
      <App />
    </StrictMode>,
  )
