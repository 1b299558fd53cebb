/** Enrolment: files carried between a device and this desk prove where the device's keys live. */
import { Modal, SegmentedControl, Text } from "@mantine/core"
import { useState } from "react"
import type { SentFile } from "../../api/files.ts"
import { DeskSteps } from "./desk-steps.tsx"
import { DeviceSteps } from "./device-steps.tsx"

type Side = "desk" | "device"

export function EnrolmentDialog({
  isOpen,
  dropped,
  onClose,
}: {
  readonly isOpen: boolean
  /** A file of an enrolment: which one it is decides where to go on. */
  readonly dropped: SentFile | null
  readonly onClose: () => void
}) {
  return (
    <Modal
      opened={isOpen}
      onClose={onClose}
      title="Enrol a device"
      size="lg"
      closeButtonProps={{ "aria-label": "Close" }}
    >
      <Sides key={dropped?.file ?? ""} dropped={dropped} onClose={onClose} />
    </Modal>
  )
}

function Sides({ dropped, onClose }: { readonly dropped: SentFile | null; readonly onClose: () => void }) {
  const [side, setSide] = useState<Side>(() => sideOf(dropped))
  return (
    <div className="sw-form">
      <SegmentedControl
        aria-label="Which end this is"
        value={side}
        onChange={(value) => setSide(value === "device" ? "device" : "desk")}
        data={[
          { value: "desk", label: "Another device" },
          { value: "device", label: "This computer is the device" },
        ]}
      />
      <Text size="sm" c="dimmed">
        {side === "desk"
          ? "Three files are carried back and forth. At the end this workspace knows the device's keys and how well they are kept."
          : "Its keys are made here and stay here. Three files go to the desk and back, on a stick or by mail: none is secret."}
      </Text>
      {side === "desk" ? (
        <DeskSteps first={sideOf(dropped) === "desk" ? dropped : null} onClose={onClose} />
      ) : (
        <DeviceSteps first={sideOf(dropped) === "device" ? dropped : null} onClose={onClose} />
      )}
    </div>
  )
}

function sideOf(file: SentFile | null): Side {
  return file !== null && /\.(challenge|certificates)$/i.test(file.name) ? "device" : "desk"
}
