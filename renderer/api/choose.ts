/** The system's file dialog. Resolves with nothing when it is left. */
export async function chooseFiles(accept = ""): Promise<readonly File[]> {
  const input = document.createElement("input")
  input.type = "file"
  input.multiple = true
  input.accept = accept
  return new Promise((resolve) => {
    input.addEventListener("change", () => resolve([...(input.files ?? [])]))
    input.addEventListener("cancel", () => resolve([]))
    input.click()
  })
}
