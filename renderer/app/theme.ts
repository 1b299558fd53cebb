import { createTheme, type CSSVariablesResolver, type MantineColorsTuple } from "@mantine/core"

/** One accent: the green of sealing wax that verified well. Shade 7 keeps 4.5:1 under white text. */
const seal: MantineColorsTuple = [
  "#e5f7f6",
  "#cdeae9",
  "#9fd5d4",
  "#6cbfbe",
  "#45adac",
  "#2ba1a0",
  "#178c8b",
  "#0b7372",
  "#075f5f",
  "#034b4b",
]

export const theme = createTheme({
  colors: { seal },
  primaryColor: "seal",
  primaryShade: { light: 7, dark: 7 },
  fontFamily: "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', 'DejaVu Sans', sans-serif",
  fontFamilyMonospace: "ui-monospace, 'Cascadia Mono', 'SF Mono', 'DejaVu Sans Mono', monospace",
  fontSizes: { xs: "12px", sm: "13px", md: "14px", lg: "16px", xl: "18px" },
  headings: {
    sizes: {
      h3: { fontSize: "17px" },
      h4: { fontSize: "16px" },
      h5: { fontSize: "13px", lineHeight: "1.6" },
    },
  },
  defaultRadius: "sm",
  cursorType: "pointer",
  respectReducedMotion: true,
  components: {
    Button: { defaultProps: { size: "xs" } },
    TextInput: { defaultProps: { size: "xs" } },
    Textarea: { defaultProps: { size: "xs" } },
    NumberInput: { defaultProps: { size: "xs" } },
    Select: { defaultProps: { size: "xs", allowDeselect: false } },
    SegmentedControl: { defaultProps: { size: "xs" } },
    PasswordInput: { defaultProps: { size: "xs" } },
    Notification: { defaultProps: { closeButtonProps: { "aria-label": "Close" } } },
    Checkbox: { defaultProps: { size: "xs" } },
    Tooltip: { defaultProps: { openDelay: 300, transitionProps: { duration: 80 } } },
    Modal: {
      defaultProps: { size: "md", centered: true, lockScroll: false, transitionProps: { duration: 100 } },
    },
  },
})

/** Mantine's dimmed text and placeholders stay below AA; these do not. */
export const cssVariables: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    "--mantine-color-dimmed": "#59636e",
    "--mantine-color-placeholder": "#65707b",
    "--mantine-color-anchor": "#075f5f",
    "--sw-good": "#157347",
    "--sw-attention": "#8a5a00",
    "--sw-bad": "#b42318",
    "--sw-sunken": "#f4f6f7",
    "--sw-raised": "#ffffff",
    "--sw-line": "#dde2e6",
    "--sw-selected": "#e0efee",
    "--sw-plain": "#3b5fc0",
    "--sw-sealed": "#c2570c",
  },
  dark: {
    "--mantine-color-dimmed": "#a3adb8",
    "--mantine-color-placeholder": "#929ca7",
    "--mantine-color-anchor": "#6cbfbe",
    "--mantine-color-body": "#16191d",
    "--sw-good": "#4cc38a",
    "--sw-attention": "#e0b03f",
    "--sw-bad": "#ff8f85",
    "--sw-sunken": "#101316",
    "--sw-raised": "#1c2025",
    "--sw-line": "#2e343b",
    "--sw-selected": "#17373a",
    "--sw-plain": "#86a3f5",
    "--sw-sealed": "#f29a57",
  },
})
