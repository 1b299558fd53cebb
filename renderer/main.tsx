/** Starts the window. The token leaves the address before anything is drawn. */
import "@mantine/core/styles.css"
import "@mantine/notifications/styles.css"
import "@mantine/spotlight/styles.css"
import "./app/style.css"
import { StrictMode } from "react"
import { createRoot } from "react-dom/client"
import { connection } from "./api/connection.ts"
import { App } from "./app/app.tsx"

connection.open()
const root = document.querySelector("#root")
if (root !== null)
  createRoot(root).render(
    <StrictMode>
      <App />
    </StrictMode>,
  )
